"""Checksums over the Nix archive of a tree or file: the form (Nix manual, "Nix Archive (NAR) format") that hides what a
tree was packed in. It is never written, only hashed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from swhkit.plugin import Entry, File, Kind, ObjectId, Unavailable, VisitContext, parse_directory
from swhkit_tarball.checksums import Sums, difference
from swhkit_tarball.source import Source

_LINK, _EXECUTABLE = 0o120000, 0o100755


def verify_tree(context: VisitContext, root: bytes, wanted: Mapping[str, bytes], name: str) -> None:
    """Raises ``Unavailable`` unless the Nix archive of a directory has these digests.

    Where all of an archive is in one folder, that folder may be what was hashed: Nix's fetchers take it out.
    """
    if not wanted:
        return
    entries = _entries(context, root)
    roots = [root]
    if len(entries) == 1 and entries[0].type == "dir":
        roots.insert(0, entries[0].target)
    wrong: str | None = None
    for candidate in roots:
        wrong = difference(wanted, _sums(_tree(context, candidate), wanted))
        if wrong is None:
            return
    raise Unavailable(f"{name} is not what it should be: of the Nix archive of its tree, {wrong}")


def verify_file(source: Source, wanted: Mapping[str, bytes]) -> None:
    """Raises ``Unavailable`` unless the Nix archive of a plain file has these digests."""
    pieces = _regular(source.length, File(source.path, source.length).chunks(), executable=False)
    wrong = difference(wanted, _sums(pieces, wanted))
    if wrong:
        raise Unavailable(f"{source.url} is not what it should be: of its Nix archive, {wrong}")


def _sums(pieces: Iterable[bytes], wanted: Mapping[str, bytes]) -> dict[str, bytes]:
    sums = Sums(wanted)
    sums.update(_words("nix-archive-1"))
    for piece in pieces:
        sums.update(piece)
    return sums.finish()


def _tree(context: VisitContext, root: bytes) -> Iterator[bytes]:
    """The nodes of a directory, depth first, its entries by their names."""
    yield _words("(", "type", "directory")
    stack = [iter(_entries(context, root))]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            yield _words(")")
            if stack:
                yield _words(")")
            continue
        yield _words("entry", "(", "name", entry.name, "node")
        if entry.type == "dir":
            yield _words("(", "type", "directory")
            stack.append(iter(_entries(context, entry.target)))
        else:
            yield from _leaf(context, entry)
            yield _words(")")


def _leaf(context: VisitContext, entry: Entry) -> Iterator[bytes]:
    id = ObjectId(Kind.CONTENT, entry.target)
    if entry.perms == _LINK:
        yield _words("(", "type", "symlink", "target", b"".join(context.stream(id)), ")")
    else:
        length = sum(len(piece) for piece in context.stream(id))  # it stands before the bytes
        yield from _regular(length, context.stream(id), executable=entry.perms == _EXECUTABLE)


def _regular(length: int, pieces: Iterable[bytes], *, executable: bool) -> Iterator[bytes]:
    yield _words("(", "type", "regular", *(("executable", "") if executable else ()), "contents")
    yield length.to_bytes(8, "little")
    yield from pieces
    yield bytes(-length % 8) + _words(")")


def _entries(context: VisitContext, directory: bytes) -> list[Entry]:
    id = ObjectId(Kind.DIRECTORY, directory)
    return sorted(parse_directory(context.read([id])[id]).entries, key=lambda entry: entry.name)


def _words(*words: str | bytes) -> bytes:
    """Strings as a Nix archive has them: length, bytes, zeros up to a multiple of eight."""
    plain = [word.encode("ascii") if isinstance(word, str) else word for word in words]
    return b"".join(len(word).to_bytes(8, "little") + word + bytes(-len(word) % 8) for word in plain)
