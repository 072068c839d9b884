"""Members into directories: what unpacking would leave on a disk, without one.

The rules are those of the Software Heritage archive loader (Python's tarfile on an empty folder): missing parents are
made, the last of two entries of a name wins, writing to a symbolic link lands in its target, hard links share bytes
and mode, special files are empty files. What would land outside of the folder is left out and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from swhkit.hashes import git_digest, git_header
from swhkit.manifest import object_id
from swhkit.model import Directory, Entry
from swhkit.swhid import Kind, ObjectId
from swhkit.unpack.member import NAME_LIMIT, Member, MemberType, Meter, show

_EMPTY = git_digest("blob", b"")
#: Symbolic links followed for one name, as Linux does.
_HOPS = 40
#: Bytes of names in one tree, and folders entered while it is built: far beyond any honest archive.
_NAMES, _STEPS = 256 << 20, 20_000_000


class _Leaf:
    """A file or symbolic link (then ``link`` is its target). Hard links share one."""

    __slots__ = ("digest", "executable", "link")

    def __init__(self, digest: bytes, executable: bool = False, link: bytes | None = None) -> None:
        self.digest, self.executable, self.link = digest, executable, link


class _Folder(dict[bytes, "_Leaf | _Folder"]):
    """A folder: its entries by name; how many folders it lies in, and how long its path is (bytes)."""

    __slots__ = ("depth", "length")

    def __init__(self, depth: int = 0, length: int = 0) -> None:
        super().__init__()
        self.depth, self.length = depth, length


class _Outside(Exception):
    """The name leads out of the archive."""


class Placed(msgspec.Struct, frozen=True):
    """One object of the tree: where it is (empty for the root), its id, its mode, and the entries of a directory."""

    path: bytes
    id: ObjectId
    perms: int
    directory: Directory | None = None


class ArchiveTree:
    """The tree of one archive; ``meter`` bounds the number of its folders and entries."""

    def __init__(self, meter: Meter) -> None:
        self._root, self._meter = _Folder(), meter
        self._names = self._steps = 0
        self._pending: list[tuple[bytes, bytes, bool]] = []
        #: Members left out because they would land outside of the archive, or are links to nothing.
        self.skipped = 0

    def read(self, members: Iterator[Member]) -> None:
        """Take all members, hashing the files. Raises ``InvalidInput`` as ``add`` and the members do."""
        for member in members:
            digest = None
            if member.type is MemberType.FILE:
                hasher = hashlib.sha1(git_header("blob", member.length))
                for chunk in member.chunks:
                    hasher.update(chunk)
                digest = hasher.digest()
            self.add(member, digest)
        self._finish()

    def add(self, member: Member, digest: bytes | None = None) -> None:
        """Take one member; ``digest`` is the git digest of a file's bytes.

        Raises ``InvalidInput`` if it cannot be unpacked: its place is a folder, or leads through a file.
        """
        try:
            if member.type is MemberType.DIRECTORY:
                self._place(member.name, None)
            elif member.type is MemberType.SYMLINK:
                leaf = _Leaf(git_digest("blob", member.target), link=member.target)
                self._place(member.name, leaf)
            elif member.type is MemberType.HARDLINK:
                if not self._link(member.name, member.target, member.executable):
                    self._count(member.name + member.target)
                    self._pending.append((member.name, member.target, member.executable))
            else:
                self._place(member.name, _Leaf(digest or _EMPTY, member.executable))
        except _Outside:
            self.skipped += 1

    def objects(self) -> Iterator[Placed]:
        """Everything in the tree, what a directory holds before the directory, the root last. Call it once."""
        self._finish()
        stack: list[tuple[bytes, list[Entry], Iterator[tuple[bytes, _Leaf | _Folder]]]]
        stack = [(b"", [], iter(self._root.items()))]
        while stack:
            path, entries, rest = stack[-1]
            name, node = next(rest, (b"", None))
            if isinstance(node, _Folder):
                stack.append((_join(path, name), [], iter(node.items())))
            elif node is not None:
                perms = 0o120000 if node.link is not None else 0o100755 if node.executable else 0o100644
                entries.append(Entry(name, "file", node.digest, perms))
                yield Placed(_join(path, name), ObjectId(Kind.CONTENT, node.digest), perms)
            else:
                stack.pop()
                directory = Directory(tuple(entries))
                id = object_id(directory)
                if stack:
                    stack[-1][1].append(Entry(path.rpartition(b"/")[2], "dir", id.digest, 0o40000))
                yield Placed(path, id, 0o40000, directory)

    def _finish(self) -> None:
        """Hard links to members that came after them; what is still not there is left out."""
        for name, target, executable in self._pending:
            try:
                self.skipped += not self._link(name, target, executable)
            except _Outside:
                self.skipped += 1
        self._pending = []

    def _link(self, name: bytes, target: bytes, executable: bool) -> bool:
        """Make ``name`` another name of the leaf ``target``; False if there is none."""
        folder, last = self._walk(target, make=False)
        node = folder.get(last) if folder is not None else None
        if not isinstance(node, _Leaf):
            return False
        self._place(name, node, follow=False)
        if node.link is None:
            # One inode, one mode: unpacking sets it anew with each name.
            node.executable = executable
        return True

    def _place(self, name: bytes, leaf: _Leaf | None, follow: bool = True) -> None:
        """Put a leaf (None: a folder) where ``name`` leads; an entry that is there gives way or takes the bytes."""
        hops = _HOPS
        base: list[_Folder] | None = None
        while True:
            folder, last = self._walk(name, make=True, base=base)
            assert folder is not None
            there = folder.get(last) if last else folder
            if (
                not isinstance(there, _Leaf)
                or there.link is None
                or leaf is None
                or leaf.link is not None
                or not follow
            ):
                break
            hops -= 1
            if not hops:
                raise self._meter.error(f"the member {show(name)} leads through symbolic links in a circle")
            base, name = self._chain(name, base), there.link
        self._settle(folder, last, there, leaf, name)

    def _settle(
        self, folder: _Folder, last: bytes, there: _Leaf | _Folder | None, leaf: _Leaf | None, name: bytes
    ) -> None:
        if leaf is None:
            if there is None:
                self._make(folder, last)
            return
        if isinstance(there, _Folder):
            raise self._meter.error(
                f"the member {show(name)} is a file where a folder is: it cannot be unpacked"
            )
        if there is not None and there.link is None and leaf.link is None and there is not leaf:
            there.digest, there.executable = leaf.digest, leaf.executable
        else:
            self._count(last + (leaf.link or b""))
            folder[last] = leaf

    def _make(self, folder: _Folder, name: bytes) -> _Folder:
        """A new folder in ``folder``."""
        self._meter.member()
        self._count(name)
        made = _Folder(folder.depth + 1, folder.length + 1 + len(name))
        if made.depth > self._meter.limits.depth or made.length > NAME_LIMIT:
            raise self._meter.error(
                f"has folders within folders deeper than {self._meter.limits.depth}, or with paths of more than"
                f" {NAME_LIMIT} bytes: no deeper ones are read"
            )
        folder[name] = made
        return made

    def _count(self, name: bytes) -> None:
        """Names are what fills the memory."""
        self._names += len(name)
        if self._names > _NAMES:
            raise self._meter.error(f"has names of more than {_NAMES} bytes together, the most that is read")

    def _chain(self, name: bytes, base: list[_Folder] | None) -> list[_Folder]:
        """The folders from the root down to the one that holds ``name``: what a relative link starts from."""
        return self._folders(name, make=True, base=base)[0]

    def _walk(
        self, name: bytes, *, make: bool, base: list[_Folder] | None = None
    ) -> tuple[_Folder | None, bytes]:
        """The folder that holds ``name``, symbolic links followed, and the last part (empty: the folder itself)."""
        chain, last = self._folders(name, make=make, base=base)
        return (chain[-1] if chain else None), last

    def _folders(self, name: bytes, *, make: bool, base: list[_Folder] | None) -> tuple[list[_Folder], bytes]:
        if name.startswith(b"/"):
            raise _Outside
        chain = list(base or [self._root])
        parts = [part for part in reversed(name.split(b"/")) if part not in (b"", b".")]
        hops = _HOPS
        while parts:
            part = parts.pop()
            self._steps += 1
            if self._steps > _STEPS:
                raise self._meter.error(f"takes more than {_STEPS} steps through folders and links to unpack")
            if part == b"..":
                if len(chain) == 1:
                    raise _Outside
                chain.pop()
                continue
            if not parts:
                return chain, part
            node = chain[-1].get(part)
            if node is None:
                if not make:
                    return [], part
                node = self._make(chain[-1], part)
            if isinstance(node, _Folder):
                chain.append(node)
            elif node.link is None:
                raise self._meter.error(
                    f"the member {show(name)} leads through a file: it cannot be unpacked"
                )
            elif node.link.startswith(b"/"):
                raise _Outside
            else:
                hops -= 1
                if not hops:
                    raise self._meter.error(
                        f"the member {show(name)} leads through symbolic links in a circle"
                    )
                parts += [step for step in reversed(node.link.split(b"/")) if step not in (b"", b".")]
        return chain, b""


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
