"""A directory tree that is edited in place and hashed anew only where it has changed.

What loaders of systems without git's trees build their revisions with: begin with the tree of the parent, change what
the revision changes, take the new directories. Folders are read when something below them is asked for, and let go when
there are many, so a tree of any size costs the memory of what was touched lately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from swhkit.errors import Corrupt, InvalidInput
from swhkit.hashes import git_digest
from swhkit.manifest import encode, parse_directory
from swhkit.model import Directory, Entry
from swhkit.swhid import Kind, ObjectId

#: Digest of the directory without entries.
EMPTY_DIRECTORY = git_digest("tree", b"")
#: Entries kept in memory (some 300 bytes each), and folders within folders: far more than any path has that can be used.
_KEPT, _DEPTH = 200_000, 4_000
_FOLDER = 0o40000

#: Bodies by id; ids that it does not know are left out.
Read = Callable[[Iterable[ObjectId]], dict[ObjectId, bytes]]


class _Folder:
    """A folder that was looked into. ``entries`` has folders below only where those were looked into as well.

    ``below``: names of folders in it that have changed, or were just made; ``changed``: whether it has to be hashed.
    """

    __slots__ = ("below", "changed", "digest", "entries")

    def __init__(
        self, digest: bytes, entries: dict[bytes, Entry | _Folder], *, changed: bool = False
    ) -> None:
        self.digest, self.entries, self.changed = digest, entries, changed
        self.below: set[bytes] = set()


class Tree:
    """A tree of contents, links, submodules and folders, addressed by paths (raw bytes, ``/`` between names).

    ``read`` gives bodies by id (``VisitContext.read``); ``root`` is the digest of a directory it can give, None for an
    empty tree. ``keep_empty`` False: a folder that loses its last entry vanishes, as where folders are not versioned.

    A path without names is the root; names that are empty, ``.`` or ``..`` raise ``InvalidInput``, and so does a path
    of more than 4,000 names. Every method raises ``Corrupt`` when ``read`` does not give a directory it should.
    """

    def __init__(self, read: Read, root: bytes | None = None, *, keep_empty: bool = True) -> None:
        self._read, self._keep_empty = read, keep_empty
        self._loaded = 0
        self._fresh: list[Directory] = []
        self._root = self._begin(root)

    @property
    def root(self) -> bytes:
        """Digest of the whole tree as it is now. Its new directories are given by the next ``write``."""
        return self._hash(self._root)

    def get(self, path: bytes) -> Entry | None:
        """What is at ``path``, or None. The root is an entry without a name."""
        names = _names(path)
        if not names:
            return Entry(b"", "dir", self.root, _FOLDER)
        chain = self._chain(names[:-1])
        node = chain[-1].entries.get(names[-1]) if chain else None
        if isinstance(node, _Folder):
            return Entry(names[-1], "dir", self._hash(node), _FOLDER)
        return node

    def entries(self, path: bytes = b"") -> list[Entry]:
        """What is in the folder at ``path``, in order of names; nothing if there is no folder."""
        chain = self._chain(_names(path))
        if not chain:
            return []
        found = chain[-1].entries
        return [
            node if isinstance(node := found[name], Entry) else Entry(name, "dir", self._hash(node), _FOLDER)
            for name in sorted(found)
        ]

    def put(self, path: bytes, digest: bytes, perms: int) -> None:
        """Put a content, link (0o120000) or submodule (0o160000) at ``path`` in place of whatever is there.

        Folders on the way are made, in place of files if need be: what a revision removes is to be removed first.
        """
        self._place(path, "rev" if perms == 0o160000 else "file", digest, perms)

    def attach(self, path: bytes, directory: bytes) -> None:
        """Put the directory of that digest at ``path``, whole and unread, in place of whatever is there."""
        if _names(path):
            self._place(path, "dir", directory, _FOLDER)
        else:
            self._root = self._begin(directory)

    def make(self, path: bytes) -> None:
        """Make a folder, in place of a file if there is one; a folder that is there stays as it is."""
        self._way(_names(path))

    def remove(self, path: bytes) -> bool:
        """Remove whatever is at ``path``; False if nothing is. The root is emptied."""
        names = _names(path)
        if not names:
            empty = not self._root.entries
            self._root = self._begin(None)
            return not empty
        chain = self._chain(names[:-1])
        if not chain or chain[-1].entries.pop(names[-1], None) is None:
            return False
        _touch(chain, names)
        if not self._keep_empty:
            while len(chain) > 1 and not chain[-1].entries:
                chain.pop()
                del chain[-1].entries[names[len(chain) - 1]]
        return True

    def write(self) -> Iterator[Directory]:
        """The directories that are new since the last ``write``, what a directory holds before the directory.

        A directory that was there before, or was given before, may come again when the tree returns to it.
        """
        self._hash(self._root)
        fresh, self._fresh = self._fresh, []
        yield from fresh

    def _top(self) -> _Folder:
        """The root to go down from; when much is in memory and all of it was given, everything else is forgotten."""
        if self._loaded > _KEPT and not self._root.changed and not self._fresh:
            self._root = self._begin(self._root.digest)
        return self._root

    def _begin(self, digest: bytes | None) -> _Folder:
        """A root that was just looked into; everything else is forgotten."""
        self._loaded = 0
        if digest is None:
            return _Folder(EMPTY_DIRECTORY, {}, changed=True)
        return self._load(digest)

    def _load(self, digest: bytes) -> _Folder:
        if digest == EMPTY_DIRECTORY:
            return _Folder(digest, {})
        id = ObjectId(Kind.DIRECTORY, digest)
        body = self._read([id]).get(id)
        if body is None:
            raise Corrupt(f"{id} is not there, and a tree of this visit was to begin with it")
        found = parse_directory(body).entries
        self._loaded += len(found)
        return _Folder(digest, {entry.name: entry for entry in found})

    def _below(self, folder: _Folder, name: bytes) -> _Folder | None:
        """The folder of that name, looked into; None if there is none."""
        node = folder.entries.get(name)
        if isinstance(node, Entry):
            if node.type != "dir":
                return None
            node = folder.entries[name] = self._load(node.target)
        return node

    def _chain(self, names: list[bytes]) -> list[_Folder]:
        """The folders from the root down to the last of ``names``; none if one of them is not there."""
        chain = [self._top()]
        for name in names:
            folder = self._below(chain[-1], name)
            if folder is None:
                return []
            chain.append(folder)
        return chain

    def _way(self, names: list[bytes]) -> list[_Folder]:
        """As ``_chain``, but folders that are not there are made."""
        chain = [self._top()]
        for name in names:
            folder = self._below(chain[-1], name)
            if folder is None:
                folder = chain[-1].entries[name] = _Folder(EMPTY_DIRECTORY, {}, changed=True)
                self._loaded += 1
                chain.append(folder)
                _touch(chain, names)
            else:
                chain.append(folder)
        return chain

    def _place(self, path: bytes, type: str, digest: bytes, perms: int) -> None:
        names = _names(path)
        if not names:
            raise InvalidInput("the root of a tree is a folder: no file can take its place")
        chain = self._way(names[:-1])
        there = chain[-1].entries.get(names[-1])
        self._loaded += there is None
        if not isinstance(there, Entry) or there.target != digest or there.perms != perms:
            chain[-1].entries[names[-1]] = Entry(names[-1], type, digest, perms)
            _touch(chain, names)

    def _hash(self, top: _Folder) -> bytes:
        """The digest of a folder; those below that have changed are hashed first."""
        stack = [top]
        while stack:
            folder = stack[-1]
            while folder.below:
                below = folder.entries.get(folder.below.pop())
                if isinstance(below, _Folder) and below.changed:
                    stack.append(below)
            if stack[-1] is folder:
                stack.pop()
                if folder.changed:
                    self._settle(folder)
        return top.digest

    def _settle(self, folder: _Folder) -> None:
        """Hash one folder below which everything is hashed."""
        directory = Directory(
            tuple(
                node if isinstance(node, Entry) else Entry(name, "dir", node.digest, _FOLDER)
                for name, node in folder.entries.items()
            )
        )
        digest = git_digest("tree", encode(directory))
        folder.changed = False
        if digest != folder.digest or digest == EMPTY_DIRECTORY:
            folder.digest = digest
            self._fresh.append(directory)


def _touch(chain: list[_Folder], names: list[bytes]) -> None:
    """Note that the last folder of a chain has changed; ``names`` are those of the folders below the first."""
    for folder, name in zip(chain, names[: len(chain) - 1], strict=False):
        folder.changed = True
        folder.below.add(name)
    chain[-1].changed = True


def _names(path: bytes) -> list[bytes]:
    names = path.split(b"/") if path else []
    if len(names) > _DEPTH or b"" in names or b"." in names or b".." in names:
        raise InvalidInput(f"{path[:200]!r} is no path in a tree")
    return names
