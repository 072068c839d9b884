"""The long look: every object of every pack is read and hashed, contents by all four digests.

Packs are walked one by one, each through a view that has no other pack: an object that is held twice is read twice, so
the damaged copy is found. A pack is cut into shares in its own order, read by a git child each, and hashed in a thread
each: hashing leaves the interpreter free, and so does waiting for the child.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from swhkit.errors import ChildFailed, ChildTimeout, Corrupt, InvalidInput
from swhkit.git import Git
from swhkit.hashes import Hasher, Hashes, git_header
from swhkit.storage import Finding, Scrubbed
from swhkit.swhid import Kind, ObjectId
from swhkit_filesystem.bulk import each
from swhkit_filesystem.gate import Gate, Shelf
from swhkit_filesystem.hopeless import Hopeless
from swhkit_filesystem.reading import Reader
from swhkit_filesystem.tables import Table

#: A share is cut at so many objects or so many packed bytes.
_SHARE_OBJECTS, _SHARE_BYTES = 4096, 16 << 20
_RESTORE = "restore the file from a copy; until then what it alone holds is not served"


class _Position(NamedTuple):
    """How far a scrub is: packs by age (``time`` of the idx in ns), then name, then offset in the pack."""

    time: int
    name: str
    offset: int

    def __str__(self) -> str:
        return f"{self.name}:{self.offset}:{self.time}"

    @classmethod
    def parse(cls, text: str) -> _Position:
        name, colon, rest = text.partition(":")
        offset, _, time = rest.partition(":")
        if not colon or not offset.isdecimal() or not time.isdecimal():
            raise InvalidInput(f"{text!r} is no position of a scrub: begin without one")
        return cls(int(time), name, int(offset))


def scrub(gate: Gate, reader: Reader, position: str | None) -> Iterator[Scrubbed | Finding]:
    """As ``ObjectStore.scrub``.

    A position is a pack's age, its name and an offset. Packs come oldest first, so what a rewrite made of a pack
    that was still to be read comes later and is read too.
    """
    at = _Position(-1, "", 0) if position is None else _Position.parse(position)
    yield from _unlisted(gate.look())
    stop = threading.Event()
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, "scrub") as pool:
        try:
            while (found := _next_pack(gate.look(), at)) is not None:
                table, start = found
                at = _Position(start.time, start.name, 1 << 63)
                if not table.pack.exists() and table.idx.exists():  # who deletes a pack deletes its idx first
                    yield Finding("the pack is lost with all its objects", _RESTORE, file=str(table.pack))
                    continue
                with tempfile.TemporaryDirectory(prefix="scrub-", dir=gate.private) as view:
                    yield from _walk(pool, workers, stop, _view(reader, table, Path(view)), table, start)
        finally:
            stop.set()


def _unlisted(shelf: Shelf) -> Iterator[Finding]:
    for file, problem in shelf.damaged:
        yield Finding(f"its objects cannot be listed: it {problem}", _RESTORE, file=str(file))


def _next_pack(shelf: Shelf, at: _Position) -> tuple[Table, _Position] | None:
    """The oldest pack at or after ``at``, and where in it to begin."""
    packs = []
    for table in shelf.tables:
        try:
            time = table.idx.stat().st_mtime_ns
        except FileNotFoundError:  # deleted in this moment; its objects come later
            continue
        if (time, table.name) >= at[:2]:
            packs.append((time, table.name, table))
    ahead = sorted((p for p in packs if p[:2] != at[:2] or at.offset < 1 << 63), key=lambda p: p[:2])
    if not ahead:
        return None
    time, name, table = ahead[0]
    return table, _Position(time, name, at.offset if (time, name) == at[:2] else 0)


def _walk(
    pool: ThreadPoolExecutor, workers: int, stop: threading.Event, git: Git, table: Table, start: _Position
) -> Iterator[Scrubbed | Finding]:
    """One pack, in its order; at most a share a worker is hashed ahead of what was given."""
    running: deque[Future[list[Scrubbed | Finding]]] = deque()
    try:
        for share in _shares(table, start.offset):
            running.append(pool.submit(_share, stop, git, table, share, start))
            if len(running) > workers:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def _shares(table: Table, after: int) -> Iterator[list[tuple[int, bytes]]]:
    share: list[tuple[int, bytes]] = []
    for place in table.in_pack_order(after):
        if share and (len(share) >= _SHARE_OBJECTS or place[0] - share[0][0] >= _SHARE_BYTES):
            yield share
            share = []
        share.append(place)
    if share:
        yield share


def _share(
    stop: threading.Event, git: Git, table: Table, share: Sequence[tuple[int, bytes]], start: _Position
) -> list[Scrubbed | Finding]:
    done: list[Scrubbed | Finding] = []
    damaged: list[bytes] = []
    results = each(git, [digest for _, digest in share], _digest, Hopeless((table,)))
    for (offset, digest), (_, result) in zip(share, results, strict=True):
        if stop.is_set():
            break
        if result is None and not table.pack.exists():
            break  # rewritten meanwhile: its objects come with a later pack
        if result is None:
            damaged.append(digest)
        else:
            id, length, hashes = result
            done.append(Scrubbed(id, length, str(start._replace(offset=offset)), hashes))
    # first, so that whoever resumes after one of this share has heard of them
    return [*_findings(git, table, damaged), *done]


def _digest(id: ObjectId, length: int, pieces: Iterator[bytes]) -> tuple[ObjectId, int, Hashes | None]:
    """Hash one object. Raises ``Corrupt`` if it does not hash to its id."""
    if id.kind is Kind.CONTENT:
        hasher = Hasher(length)
        for piece in pieces:
            hasher.update(piece)
        hashes = hasher.finish()
        if hashes.sha1_git != id.digest:
            raise Corrupt(f"the bytes of {id} do not hash to it")
        return id, length, hashes
    digest = hashlib.sha1(git_header(id.kind.git, length))
    for piece in pieces:
        digest.update(piece)
    if digest.digest() != id.digest:
        raise Corrupt(f"the bytes of {id} do not hash to it")
    return id, length, None


def _findings(git: Git, table: Table, damaged: list[bytes]) -> Iterator[Finding]:
    """What to say of objects that cannot be read; their kinds are known where their heads can still be read.

    One child for all of them: there are many when a pack is cut short.
    """
    kinds: dict[bytes, Kind | None] = {}
    try:
        kinds.update((digest, kind) for digest, kind, _ in git.check(damaged))
    except ChildTimeout:
        raise
    except (ChildFailed, Corrupt):  # the others stay without a kind
        pass
    for digest in damaged:
        kind = kinds.get(digest)
        object = None if kind is None else ObjectId(kind, digest)
        yield Finding(f"the object {digest.hex()} is damaged", _RESTORE, object=object, file=str(table.pack))


def _view(reader: Reader, table: Table, place: Path) -> Git:
    """git on one pack alone."""
    (place / "pack").mkdir()
    for path in (table.pack, table.idx):
        (place / "pack" / path.name).symlink_to(path)
    return reader.git(Shelf((table,), place, ()))
