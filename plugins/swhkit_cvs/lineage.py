"""Which revisions of a file belong to the history of a module, and how their texts are reached.

That is the trunk, and the first vendor branch (1.1.1) up to the first change of one's own: until then a checkout shows
what the vendor sent (CVS manual, "Tracking third-party sources").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from swhkit_cvs.rcs import Damaged, Delta, RcsFile, Span
from swhkit_cvs.texts import Text, Texts

DEAD = b"dead"
_VENDOR = (b"1", b"1", b"1")


def is_vendors(number: bytes) -> bool:
    """Whether a revision is of the vendor branch 1.1.1."""
    parts = number.split(b".")
    return len(parts) == 4 and tuple(parts[:3]) == _VENDOR


def history(deltas: Collection[Delta]) -> Iterator[Delta]:
    """Those revisions of a file that count, oldest first; also such that remove it (state ``dead``).

    Of 1.1 and 1.1.1.1, which ``cvs import`` makes together, the earlier counts (1.1.1.1 if they are of one second);
    neither counts if it is dead: that is how a file looks that was added on a branch. Vendor revisions count until
    1.2 or later has come.
    """
    begun = own = False
    vendors_last: bytes | None = None
    for delta in sorted(filter(_may_count, deltas), key=_order):
        if delta.number in (b"1.1", b"1.1.1.1"):
            if begun or delta.state == DEAD:
                continue
            begun = True
        if is_vendors(delta.number):
            if own and delta.number != b"1.1.1.1":
                continue
            vendors_last = delta.state
        else:
            own = own or (delta.number != b"1.1" and delta.number.startswith(b"1."))
            again, vendors_last = vendors_last == delta.state == DEAD, None
            if again:
                continue
        yield delta


def _may_count(delta: Delta) -> bool:
    return delta.number.count(b".") == 1 or is_vendors(delta.number)


def _order(delta: Delta) -> tuple[int, bool, list[int]]:
    return delta.date, not is_vendors(delta.number), [int(part) for part in delta.number.split(b".")]


def texts_of(rcs: RcsFile, wanted: Collection[bytes], texts: Texts) -> Iterator[tuple[Delta, Text]]:
    """The texts of the ``wanted`` revisions, unexpanded: down the trunk from its head, then up the vendor branch.

    Each text lasts until the next is asked for. Raises ``Damaged`` when one cannot be reached.
    """
    left = set(wanted)
    text: Text | None = None
    for delta, span in _way(rcs, left):
        step = texts.of(rcs, span)
        new = step if text is None else texts.patched(text, step)
        if text is not None:
            text.close()
            step.close()
        text = new
        if delta.number in left:
            left.discard(delta.number)
            yield delta, text
    if text is not None:
        text.close()
    if left:
        raise Damaged(f"revision {sorted(left)[0].decode()} cannot be reached from the head")


def _way(rcs: RcsFile, left: Collection[bytes]) -> Iterator[tuple[Delta, Span]]:
    """The revisions to go through as long as any are ``left``, with their texts or deltas."""
    number, seen = rcs.head, set[bytes]()
    while number and left:
        delta = rcs.deltas.get(number)
        if delta is None or delta.text is None:
            raise Damaged(f"revision {number[:80].decode('ascii', 'replace')} is missing")
        if number in seen:
            raise Damaged(f"revision {number.decode()} comes after itself")
        seen.add(number)
        yield delta, delta.text
        number = delta.next
        if not is_vendors(delta.number) and all(map(is_vendors, left)):
            branch = next(filter(is_vendors, delta.branches), None)
            number = branch or number
