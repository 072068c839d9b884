"""The objects of a folder on disk: contents, directories bottom up, in bounded memory and to any depth.

One descriptor is open at a time and every name is opened below it without following links, so that neither a path
longer than the system allows nor a folder that is swapped while it is read leads elsewhere.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from swhkit.errors import InvalidInput
from swhkit.hashes import git_digest, git_header
from swhkit.manifest import object_id
from swhkit.model import Bytes, Chunks, Content, Directory, Entry
from swhkit.swhid import Kind, ObjectId
from swhkit.unpack import Placed

_CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EMPTY = git_digest("blob", b"")


class _Frame:
    """A folder that is being read: where it is, which it is, what it has so far, which folders are left."""

    __slots__ = ("entries", "folders", "inode", "path")

    def __init__(self, path: bytes, inode: tuple[int, int]) -> None:
        self.path, self.inode = path, inode
        self.entries: list[Entry] = []
        self.folders: list[bytes] = []


def hash_directory(root: Path, exclude: Sequence[str] = ()) -> Iterator[Placed]:
    """As ``read_directory``, without the contents."""
    for item in read_directory(root, exclude):
        if isinstance(item, Content):
            for _ in item.source.chunks():
                pass
        else:
            yield item


def read_directory(root: Path, exclude: Sequence[str] = ()) -> Iterator[Content | Placed]:
    """Everything below ``root`` and ``root`` itself (empty path, last), what a directory holds before the directory.

    A leaf comes twice: first the content, whose bytes must be read to their end before the next is asked for, and
    then where it is.

    A file is executable iff its owner may execute it; symbolic links are contents of their targets; pipes, sockets
    and devices are empty files; empty directories stay. Entries whose name or path below ``root`` matches a glob of
    ``exclude`` are left out. Raises ``InvalidInput`` for what cannot be read, or changes meanwhile.
    """
    excluded = _matcher(exclude)
    try:
        here = os.open(root, _FLAGS & ~os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError as error:
        raise InvalidInput(f"{root}: {error.strerror}") from None
    try:
        stack = [_Frame(b"", _inode(here))]
        yield from _list(here, stack[-1], root, excluded)
        while stack:
            frame = stack[-1]
            if frame.folders:
                name = frame.folders.pop()
                here = _move(here, name, root, frame.path)
                stack.append(_Frame(_join(frame.path, name), _inode(here)))
                yield from _list(here, stack[-1], root, excluded)
                continue
            stack.pop()
            directory = Directory(tuple(frame.entries))
            id = object_id(directory)
            yield Placed(frame.path, id, 0o40000, directory)
            if stack:
                here = _move(here, b"..", root, frame.path)
                if _inode(here) != stack[-1].inode:
                    raise _changed(root, frame.path)
                stack[-1].entries.append(Entry(frame.path.rpartition(b"/")[2], "dir", id.digest, 0o40000))
    finally:
        os.close(here)


def hash_file(path: Path, follow: bool = True) -> ObjectId:
    """The content a file holds; with ``follow`` False, a symbolic link is the content of its target.

    Raises ``InvalidInput`` for what cannot be read.
    """
    try:
        status = path.stat() if follow else path.lstat()
        if stat.S_ISLNK(status.st_mode):
            digest = git_digest("blob", os.fsencode(os.readlink(path)))  # noqa: PTH115 - Path tidies the text
        elif stat.S_ISREG(status.st_mode):
            with closing(_Reading(os.open(path, _FLAGS & ~os.O_NOFOLLOW), path, b"")) as reading:
                for _ in reading.chunks():
                    pass
                digest = reading.digest()
        else:
            digest = _EMPTY
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    return ObjectId(Kind.CONTENT, digest)


def _list(
    here: int, frame: _Frame, root: Path, excluded: Callable[[bytes, bytes], bool]
) -> Iterator[Content | Placed]:
    """The leaves of the folder ``here``; its folders go to the frame."""
    try:
        names = [os.fsencode(name) for name in os.listdir(here)]
    except OSError as error:
        raise _problem(root, frame.path, error) from None
    for name in names:
        path = _join(frame.path, name)
        if excluded(name, path):
            continue
        try:
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                frame.folders.append(name)
                continue
            perms, data = _plain(here, name, status)
            reading = _Reading(os.open(name, _FLAGS, dir_fd=here), root, path) if data is None else None
        except OSError as error:
            raise _problem(root, path, error) from None
        if reading is None:
            assert data is not None
            yield Content(Bytes(data))
            digest = git_digest("blob", data)
        else:
            with closing(reading):
                yield Content(Chunks(reading.length, reading.chunks()))
                digest = reading.digest()
        frame.entries.append(Entry(name, "file", digest, perms))
        yield Placed(path, ObjectId(Kind.CONTENT, digest), perms)


def _plain(here: int, name: bytes, status: os.stat_result) -> tuple[int, bytes | None]:
    """Mode and bytes of an entry that is no folder; None for the bytes of a regular file, which is to be read."""
    if stat.S_ISLNK(status.st_mode):
        return 0o120000, os.readlink(name, dir_fd=here)
    perms = 0o100755 if status.st_mode & stat.S_IXUSR else 0o100644
    return perms, None if stat.S_ISREG(status.st_mode) else b""


class _Reading:
    """An open regular file of ``length`` bytes, which is hashed while it is read."""

    def __init__(self, handle: int, root: Path, path: bytes) -> None:
        """Takes ``handle`` over. Raises ``InvalidInput`` if it is no regular file."""
        self._handle, self._root, self._path = handle, root, path
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise _changed(root, path)
        self.length, self._written = status.st_size, status.st_mtime_ns
        self._hash = hashlib.sha1(git_header("blob", self.length))

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces. Raises ``InvalidInput`` if they are not what they were when it was opened."""
        left = self.length
        try:
            while chunk := os.read(self._handle, _CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _changed(self._root, self._path)
                self._hash.update(chunk)
                yield chunk
            if left or os.fstat(self._handle).st_mtime_ns != self._written:
                raise _changed(self._root, self._path)
        except OSError as error:
            raise _problem(self._root, self._path, error) from None

    def digest(self) -> bytes:
        """The git digest of what was read."""
        return self._hash.digest()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._handle)


def _move(here: int, name: bytes, root: Path, path: bytes) -> int:
    """The folder ``name`` of ``here``, which is closed; on an error ``here`` stays open."""
    try:
        there = os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=here)
    except OSError as error:
        raise _problem(root, _join(path, name), error) from None
    os.close(here)
    return there


def _inode(handle: int) -> tuple[int, int]:
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def _matcher(patterns: Sequence[str]) -> Callable[[bytes, bytes], bool]:
    if not patterns:
        return lambda name, path: False  # noqa: ARG005
    raw = [os.fsencode(pattern) for pattern in patterns]
    return lambda name, path: any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(path, p) for p in raw)


def _join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name


def _problem(root: Path, path: bytes, error: OSError) -> InvalidInput:
    return InvalidInput(f"{root}: {os.fsdecode(path[-200:])!a} cannot be read ({error.strerror})")


def _changed(root: Path, path: bytes) -> InvalidInput:
    return InvalidInput(f"{root}: {os.fsdecode(path[-200:])!a} changed while it was read: try again")
