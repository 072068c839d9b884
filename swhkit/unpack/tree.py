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
#: Memory of one tree (bytes), and folders entered while it is built: far beyond any honest archive.
_MEMORY, _STEPS = 200 << 20, 20_000_000
#: Entries of one folder: all of it is in memory while it is hashed.
_WIDTH = 300_000
#: What an entry takes beside the bytes of its name, and a folder beside that.
_ENTRY, _FOLDER = 190, 240


#: A file of one name: its digest, and ``x`` or ``-`` for whether it is executable. A million of them fit in memory.
_File = bytes
_LENGTH = 20


class _Leaf:
    """A symbolic link (then ``link`` is its target), or a file that has several names, which share it."""

    __slots__ = ("digest", "executable", "link")

    def __init__(self, digest: bytes, executable: bool = False, link: bytes | None = None) -> None:
        self.digest, self.executable, self.link = digest, executable, link


class _Folder(dict[bytes, "_File | _Leaf | _Folder"]):
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
        self._memory = self._steps = 0
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
                    self._count(len(member.name) + len(member.target))
                    self._pending.append((member.name, member.target, member.executable))
            else:
                self._place(member.name, (digest or _EMPTY) + (b"x" if member.executable else b"-"))
        except _Outside:
            self.skipped += 1

    def objects(self) -> Iterator[Placed]:
        """Everything in the tree, what a directory holds before the directory, the root last. Call it once."""
        self._finish()
        stack: list[tuple[bytes, list[Entry], _Folder]] = [(b"", [], self._root)]
        while stack:
            path, entries, folder = stack[-1]
            name, node = folder.popitem() if folder else (b"", None)  # what was given is let go
            if isinstance(node, _Folder):
                stack.append((_join(path, name), [], node))
            elif node is not None:
                digest, perms = _told(node)
                entries.append(Entry(name, "file", digest, perms))
                yield Placed(_join(path, name), ObjectId(Kind.CONTENT, digest), perms)
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
        if folder is None or node is None or isinstance(node, _Folder):
            return False
        if isinstance(node, _File):
            self._memory += _ENTRY
            node = folder[last] = _Leaf(node[:_LENGTH], node[_LENGTH:] == b"x")
        self._place(name, node, follow=False)
        if node.link is None:
            # One inode, one mode: unpacking sets it anew with each name.
            node.executable = executable
        return True

    def _place(self, name: bytes, leaf: _File | _Leaf | None, follow: bool = True) -> None:
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
                or not follow
                or (isinstance(leaf, _Leaf) and leaf.link is not None)
            ):
                break
            hops -= 1
            if not hops:
                raise self._meter.error(f"the member {show(name)} leads through symbolic links in a circle")
            base, name = self._chain(name, base), there.link
        self._settle(folder, last, there, leaf, name)

    def _settle(
        self,
        folder: _Folder,
        last: bytes,
        there: _File | _Leaf | _Folder | None,
        leaf: _File | _Leaf | None,
        name: bytes,
    ) -> None:
        if leaf is None:
            if there is None:
                self._make(folder, last)
            return
        if isinstance(there, _Folder):
            raise self._meter.error(
                f"the member {show(name)} is a file where a folder is: it cannot be unpacked"
            )
        if isinstance(there, _Leaf) and there.link is None and isinstance(leaf, _File):
            there.digest, there.executable = leaf[:_LENGTH], leaf[_LENGTH:] == b"x"
        else:
            if there is None:
                self._new(folder, _ENTRY + len(last))
            if isinstance(leaf, _Leaf):
                self._count(_ENTRY + len(leaf.link or b""))
            folder[last] = leaf

    def _make(self, folder: _Folder, name: bytes) -> _Folder:
        """A new folder in ``folder``."""
        self._meter.member()
        self._new(folder, _ENTRY + _FOLDER + len(name))
        made = _Folder(folder.depth + 1, folder.length + 1 + len(name))
        if made.depth > self._meter.limits.depth or made.length > NAME_LIMIT:
            raise self._meter.error(
                f"has folders within folders deeper than {self._meter.limits.depth}, or with paths of more than"
                f" {NAME_LIMIT} bytes: no deeper ones are read"
            )
        folder[name] = made
        return made

    def _new(self, folder: _Folder, size: int) -> None:
        """One more entry of a folder, which takes that much memory."""
        if len(folder) >= _WIDTH:
            raise self._meter.error(f"has a folder with more than {_WIDTH} entries, the most that is read")
        self._count(size)

    def _count(self, size: int) -> None:
        """So many bytes more are kept."""
        self._memory += size
        if self._memory > _MEMORY:
            raise self._meter.error("has more members, or longer names of members, than fit in memory")

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
            elif isinstance(node, _File) or node.link is None:
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
                self._steps += node.link.count(b"/")  # those that lead nowhere cost time, too
                parts += [step for step in reversed(node.link.split(b"/")) if step not in (b"", b".")]
        return chain, b""


def _told(node: _File | _Leaf) -> tuple[bytes, int]:
    """Digest and mode of a file or link."""
    if isinstance(node, _Leaf):
        return node.digest, 0o120000 if node.link is not None else 0o100755 if node.executable else 0o100644
    return node[:_LENGTH], 0o100755 if node[_LENGTH:] == b"x" else 0o100644


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
