"""What a stage holds: one pass over its objects, written to files because there may be ten million of them.

``wanted`` has a line ``HEX SIZE`` for each content that needs a row, in pack order (``swhkit.digests`` works it off).
``inventory`` has 21 bytes for each directory, revision and release: a letter for the kind and the digest; publishing
counts from it. The persons of revisions and releases go to the record log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from threading import Event

from swhkit import manifest, records
from swhkit.archive import Archive
from swhkit.batches import batched
from swhkit.git import headers_of
from swhkit.hashes import hash_chunks
from swhkit.model import ContentRow, PersonRow
from swhkit.stage import Stage
from swhkit.swhid import Kind, ObjectId

_BATCH = 5_000
_SUBTRACT = 1_000_000
_REMEMBERED_PERSONS = 500_000
#: Headers of a revision or release larger than this name nobody, in bytes.
_HEADERS = 16 << 20
_LETTERS = {Kind.DIRECTORY: b"d", Kind.REVISION: b"v", Kind.RELEASE: b"l"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}
_ENTRY = 21


def take(archive: Archive, stage: Stage, over: Event) -> None:
    """Write ``stage.wanted``, ``stage.inventory`` and the log of persons; no more of it once ``over`` is set."""
    with stage.wanted.open("wb") as wanted, stage.inventory.open("wb") as inventory:
        for batch in batched(stage.git().list_objects(), _BATCH):
            if over.is_set():
                return
            sizes = {id.digest: size for id, size in batch if id.kind is Kind.CONTENT}
            rowless = archive.catalog.missing_contents(sizes)
            wanted.writelines(line(digest, size) for digest, size in sizes.items() if digest in rowless)
            inventory.writelines(_LETTERS[id.kind] + id.digest for id, _ in batch if id.kind in _LETTERS)
    _list_persons(stage, over)


def line(digest: bytes, size: int) -> bytes:
    """One line of ``wanted``."""
    return b"%s %d\n" % (digest.hex().encode("ascii"), size)


def entries(stage: Stage) -> Iterator[ObjectId]:
    """The directories, revisions and releases of a stage whose inventory was taken; nothing for an empty stage."""
    if not stage.inventory.exists():
        return
    with stage.inventory.open("rb") as file:
        while block := file.read(_ENTRY * _BATCH):
            for start in range(0, len(block), _ENTRY):
                yield ObjectId(_KINDS[block[start : start + 1]], block[start + 1 : start + _ENTRY])


def counts(stage: Stage) -> Counter[Kind]:
    """How many of each kind ``entries`` has."""
    letters: Counter[int] = Counter()
    if stage.inventory.exists():
        with stage.inventory.open("rb") as file:
            while block := file.read(_ENTRY * _BATCH):
                letters.update(block[::_ENTRY])
    return Counter({_KINDS[bytes((letter,))]: count for letter, count in letters.items()})


def _list_persons(stage: Stage, over: Event) -> None:
    seen: set[bytes] = set()
    history = (id.digest for id in entries(stage) if id.kind is not Kind.DIRECTORY)
    with (stage.folder / "log-persons").open("wb") as log:
        for id, _, chunks in stage.git().read(history):
            if over.is_set():
                return
            for fullname in _fullnames(id.kind, chunks):
                if fullname not in seen:
                    seen.add(fullname)
                    log.write(records.encode(PersonRow(fullname)))
            if len(seen) > _REMEMBERED_PERSONS:  # the catalog knows repeats; this only keeps the log short
                seen.clear()


def _fullnames(kind: Kind, chunks: Iterator[bytes]) -> list[bytes]:
    """The persons a body names."""
    head = headers_of(chunks, _HEADERS)
    return [] if head is None else manifest.fullnames(kind, head)


def add_unstaged(archive: Archive, stage: Stage, skipped: set[bytes]) -> None:
    """Contents that are reached and held, but have no row: what a crash between bytes and rows leaves.

    They join ``wanted`` where git can read them, and are digested here otherwise.
    """
    unstaged = (digest for digest in _subtract(stage.reached, stage.wanted) if digest not in skipped)
    for batch in batched((ObjectId(Kind.CONTENT, digest) for digest in unstaged), _BATCH):
        sizes = archive.objects.sizes(batch)
        if archive.git_dir is not None:
            with stage.wanted.open("ab") as wanted:
                wanted.writelines(line(id.digest, size) for id, size in sizes.items())
        else:
            with (stage.folder / "log-held").open("ab") as log:
                records.write(log, _held_rows(archive, sizes.items()))


def _held_rows(archive: Archive, sizes: Iterable[tuple[ObjectId, int]]) -> Iterator[ContentRow]:
    for id, size in sizes:
        yield ContentRow.of(hash_chunks(size, archive.objects.stream(id)))


def _subtract(reached: Path, wanted: Path) -> Iterator[bytes]:
    """Digests in ``reached`` that are not in ``wanted``; at most a million of the latter in memory at a time."""
    left = reached
    with wanted.open("rb") as lines:
        while chunk := {line[:40] for line in islice(lines, _SUBTRACT)}:
            rest = left.with_name("reached.rest")
            with left.open("rb") as source, (target := rest.with_suffix(".tmp")).open("wb") as kept:
                kept.writelines(line for line in source if line[:40] not in chunk)
            target.rename(rest)
            left = rest
    with left.open("rb") as source:
        yield from (bytes.fromhex(line[:40].decode("ascii")) for line in source)
