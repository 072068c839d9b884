"""Replace packs by one new pack: the one primitive behind maintenance, consolidation and takedown.

The new pack is made aside, compared with the old ones id by id, linked and synced; only then the old ones go. Whoever
calls holds the lock ``Folder.rewriting``: nobody else deletes packs meanwhile. Readers go on: open packs stay readable,
and who finds one gone looks again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import islice

from swhkit.errors import ChildFailed, ChildTimeout, Corrupt
from swhkit.files import sync_file, sync_folder
from swhkit.git import Git
from swhkit.model import Chunks, Pack
from swhkit.pack import PackWriter
from swhkit_filesystem.adopting import fingerprint, link_pair
from swhkit_filesystem.bulk import each
from swhkit_filesystem.folder import Folder
from swhkit_filesystem.gate import Shelf, unpaired
from swhkit_filesystem.reading import Reader
from swhkit_filesystem.tables import Table, all_digests

_SHARE = 200_000
#: ``window-memory`` bounds git's memory: what the delta candidates of one thread may take.
_OPTIONS = ("--delta-base-offset", "--window-memory=64m")

log = logging.getLogger("swhkit.objects")
_NOTHING: frozenset[bytes] = frozenset()


def require_sound(tables: Iterable[Table]) -> None:
    """Raise ``Corrupt`` unless the packs of all tables match their checksums: what is kept must be good."""
    for table in tables:
        problem = unpaired(Pack(table.pack, table.idx))
        if problem:
            raise Corrupt(
                f"{problem}; nothing was changed: run `swhkit check --full` to see which objects are lost, "
                "and restore the file from a copy"
            )


def merge_packs(
    folder: Folder, reader: Reader, shelf: Shelf, old: Sequence[Table], staying: Sequence[Table]
) -> None:
    """Make one pack of ``old``, leaving out what ``staying`` has too. All of them must be sound (``require_sound``)."""
    names = [f"{table.name}\n" for table in old] + [f"^{table.name}\n" for table in staying]
    _replace(folder, reader, shelf, ["--stdin-packs"], "".join(names).encode(), old, staying, _NOTHING)


def drop_objects(
    folder: Folder, reader: Reader, shelf: Shelf, old: Sequence[Table], drop: Set[bytes]
) -> None:
    """Make one pack of all that ``old`` has but ``drop``. The objects that stay must be readable."""
    lines = (f"{digest.hex()}\n".encode() for digest in all_digests(old) if digest not in drop)
    _replace(folder, reader, shelf, [], lines, old, (), drop)


def unsound(tables: Iterable[Table]) -> list[Table]:
    """Those whose pack is damaged or lost, or is another than its idx says."""
    return [table for table in tables if unpaired(Pack(table.pack, table.idx))]


def retire(folder: Folder, reader: Reader, shelf: Shelf, bad: Sequence[Table]) -> None:
    """Let damaged packs go: what they alone have is taken over as far as it can be read.

    Raises ``Corrupt``, and changes nothing, if something would be lost that is not lost yet.
    """
    good = [table for table in shelf.tables if table not in bad]
    git, digests = reader.git(shelf, careful=True), all_digests(bad)
    with folder.temporary("salvage") as scratch:
        writer = PackWriter(scratch / "new.pack")
        try:
            while share := set(islice(digests, _SHARE)):
                _salvage(git, writer, bad, sorted(share.difference(*(table.held(share) for table in good))))
            writer.finish()
        finally:
            writer.abort()
        if len(writer):
            pack = git.index_pack(writer.path)
            pack.path.chmod(0o444)
            link_pair(folder, pack.path, pack.idx, scratch)
    _delete(folder, reader, shelf, bad)


def _salvage(git: Git, writer: PackWriter, bad: Sequence[Table], left: Sequence[bytes]) -> None:
    """Copy objects that no good pack has; each is hashed before it is written. Raises ``Corrupt`` if one is lost."""
    for digest, readable in each(git, left, fingerprint):
        if readable is None:
            file = next(table.pack for table in bad if table.find(digest) is not None)
            raise Corrupt(
                f"{file} is damaged and alone has the object {digest.hex()}; nothing was changed: run `swhkit check "
                "--full` to see what is lost, and load its origins again or restore the file from a copy"
            )
    for digest, written in each(
        git, left, lambda id, length, pieces: writer.add(id.kind, Chunks(length, pieces))
    ):
        if written is None or written.digest != digest:
            raise Corrupt(f"the object {digest.hex()} changed while it was read: nothing was changed")


def write_midx(folder: Folder, reader: Reader, shelf: Shelf) -> None:
    """Write the multi-pack-index anew; with it git and libgit2 look into one table instead of many.

    It only makes reading quicker, so a failure is a line in the log.
    """
    folder.midx.with_name("multi-pack-index.lock").unlink(missing_ok=True)  # of a child that was killed
    if not any(folder.packs.glob("*.idx")):
        folder.midx.unlink(missing_ok=True)
        return
    try:
        reader.git(shelf).run("multi-pack-index", "write", "--no-progress")
    except ChildTimeout:
        raise
    except ChildFailed as error:
        log.warning("the multi-pack-index could not be written: %s", error)


def _replace(
    folder: Folder,
    reader: Reader,
    shelf: Shelf,
    options: Sequence[str],
    input: bytes | Iterator[bytes],
    old: Sequence[Table],
    staying: Sequence[Table],
    drop: Set[bytes],
) -> None:
    with folder.temporary("rewrite") as scratch:
        git = reader.git_aside(shelf, scratch / "objects")
        try:
            git.run("pack-objects", "-q", *_OPTIONS, *options, scratch / "pack", input=input)
            new = [Table(pack, pack.with_suffix(".idx")) for pack in scratch.glob("pack-*.pack")]
            new = [table for table in new if table.count]
            if drop:  # the old packs may be damaged: hash what was made of them
                new = [_indexed_anew(git, table) for table in new]
        except ChildTimeout:
            raise
        except ChildFailed as error:
            raise Corrupt(
                f"the packs cannot be rewritten, nothing was changed: {error}; run `swhkit check --full`"
            ) from error
        _require_all(old, [*new, *staying], drop)
        for table in new:
            sync_file(table.pack)
            sync_file(table.idx)
            link_pair(folder, table.pack, table.idx, scratch)
    kept = {table.checksum for table in new}
    _delete(folder, reader, shelf, [table for table in old if table.checksum not in kept])


def _indexed_anew(git: Git, table: Table) -> Table:
    table.idx.unlink()
    made = git.index_pack(table.pack)
    return Table(made.path, made.idx)


def _require_all(old: Sequence[Table], new: Sequence[Table], drop: Set[bytes]) -> None:
    """Raise ``Corrupt`` unless each id of ``old`` is in ``new`` or meant to go."""
    digests = all_digests(old)
    while share := set(islice(digests, _SHARE)):
        share -= drop
        for table in new:
            share -= table.held(share)
        if share:
            raise Corrupt(
                f"git left out {len(share)} objects ({min(share).hex()} …) in rewriting: nothing was changed"
            )


def _delete(folder: Folder, reader: Reader, shelf: Shelf, old: Sequence[Table]) -> None:
    """Remove packs whose objects are all held elsewhere; their multi-pack-index first, each idx before its pack."""
    indexed = folder.midx.exists()
    if indexed:
        folder.midx.unlink()
    with folder.linking():
        for table in old:
            for suffix in (".idx", ".rev", ".pack"):
                (folder.packs / table.name).with_suffix(suffix).unlink(missing_ok=True)
        sync_folder(folder.packs)
    if indexed:
        write_midx(folder, reader, shelf)
