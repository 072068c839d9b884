"""SWHIDs without an archive: of files, folders, git repositories, archive files and URLs, as they lie on this machine.

``identify`` gives what a path is; with ``recursive`` also everything below it. Nothing is written but scratch files
of the git program's configuration.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from swhkit.errors import InvalidInput
from swhkit.hashes import git_header
from swhkit.localrepo import git_directory, is_bare, resolve, snapshot_of
from swhkit.manifest import edges_of_snapshot, object_id, origin_digest
from swhkit.model import Snapshot
from swhkit.process import Runner
from swhkit.scratch import scratch_folder
from swhkit.swhid import Kind, ObjectId
from swhkit.treehash import hash_directory, hash_file
from swhkit.unpack import ArchiveLimits, ArchiveTree, Placed, open_archive

#: What can be asked for; ``auto`` looks at the path.
TYPES = ("auto", "cnt", "dir", "rev", "rel", "snp", "origin")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


class Identified(msgspec.Struct, frozen=True):
    """An id and where it is: the path that was asked for, and what follows it (an entry below, or a ref)."""

    id: ObjectId
    path: str
    below: bytes = b""
    ref: bytes = b""
    note: str | None = None

    @property
    def label(self) -> str:
        """Both as one text: ``path``, ``path/below`` or ``path@ref``. May hold surrogates for names not in UTF-8."""
        if self.ref:
            return f"{self.path}@{os.fsdecode(self.ref)}"
        return f"{self.path.rstrip('/')}/{os.fsdecode(self.below)}" if self.below else self.path


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to identify: see ``identify``."""

    type: str = "auto"
    follow: bool = True
    exclude: Sequence[str] = ()
    recursive: bool = False
    limits: ArchiveLimits = ArchiveLimits()


def identify(path: str, options: Options | None = None) -> Iterator[Identified]:
    """The SWHIDs of ``path``; the object itself comes last, after what is below it if ``recursive``.

    ``path`` may be a file, a folder, a git repository, a URL (type origin), or ``ARCHIVE//INNER``: what a tar or zip
    file holds, its root if INNER is empty. Type ``auto``: a file is its content, a bare git repository its snapshot,
    any other folder a directory (with its ``.git``, if it has one), a URL an origin. Type ``dir`` on a tar or zip
    file is its root. ``rel`` gives each annotated tag. ``follow``: whether a symbolic link given as path is followed.
    ``exclude``: globs of entries to leave out of folders. Raises ``InvalidInput``.
    """
    options = options or Options()
    if options.type not in TYPES:
        raise InvalidInput(f"{options.type!r} is no type to identify; known: {', '.join(TYPES)}")
    if "\0" in path:
        raise InvalidInput(f"{path!r} is no path")
    if options.type == "origin" or (options.type == "auto" and _is_url(path)):
        yield Identified(ObjectId(Kind.ORIGIN, origin_digest(_url(path))), path)
        return
    if not os.path.lexists(path) and "//" in path:
        yield from _in_archive(path, options)
        return
    # os.path, not Path: a name that is too long is no such file either, and no error of another kind.
    if not (os.path.exists(path) if options.follow else os.path.lexists(path)):  # noqa: PTH110
        raise InvalidInput(f"{path}: there is no such file or folder")
    yield from _on_disk(path, Path(path), options)


def identify_stream(file: BinaryIO) -> ObjectId:
    """The content that a stream of unknown length holds; what does not fit in memory goes to a temporary file."""
    with tempfile.SpooledTemporaryFile(max_size=16 << 20) as spool:
        while chunk := file.read(1 << 20):
            spool.write(chunk)
        digest = hashlib.sha1(git_header("blob", spool.tell()))
        spool.seek(0)
        while chunk := spool.read(1 << 20):
            digest.update(chunk)
    return ObjectId(Kind.CONTENT, digest.digest())


def _on_disk(label: str, path: Path, options: Options) -> Iterator[Identified]:
    is_folder = path.is_dir() and (options.follow or not path.is_symlink())
    wanted = options.type
    if wanted == "auto":
        wanted = ("snp" if is_bare(path) else "dir") if is_folder else "cnt"
    if wanted in ("snp", "rev", "rel"):
        yield from _repository(label, path, wanted, options.recursive)
    elif wanted == "dir" and is_folder:
        yield from _chosen(label, hash_directory(path, options.exclude), b"", options.recursive)
    elif wanted == "dir" and path.is_file():
        yield from _archive(label, path, b"", options)
    elif wanted == "dir":
        raise InvalidInput(f"{label} is neither a folder nor an archive file: it has no directory")
    elif is_folder:
        raise InvalidInput(f"{label} is a folder, not a file: ask for type dir")
    else:
        yield Identified(hash_file(path, options.follow), label)


def _in_archive(path: str, options: Options) -> Iterator[Identified]:
    """``ARCHIVE//INNER``: the first ``//`` behind the name of a file counts."""
    for match in re.finditer("//", path):
        outer, inner = path[: match.start()], path[match.end() :]
        if os.path.isfile(outer):  # noqa: PTH113
            yield from _archive(path, Path(outer), os.fsencode(inner.strip("/")), options)
            return
    raise InvalidInput(f"{path}: there is no such file or folder, and no archive file before the '//'")


def _archive(label: str, path: Path, inner: bytes, options: Options) -> Iterator[Identified]:
    if options.type not in ("auto", "dir", "cnt"):
        raise InvalidInput(f"{label}: an archive holds files and folders, no object of type {options.type}")
    if options.exclude:
        raise InvalidInput(f"{label}: --exclude is for folders on disk, not for archives")
    with open_archive(path, options.limits) as archive:
        tree = ArchiveTree(archive.meter)
        tree.read(archive.members)
        note = None
        if tree.skipped:
            note = f"{path}: {tree.skipped} members that lead out of the archive or nowhere are left out"
        yield from _chosen(label, tree.objects(), inner, options.recursive, options.type, note)


def _chosen(
    label: str,
    objects: Iterable[Placed],
    inner: bytes,
    recursive: bool,
    wanted: str = "dir",
    note: str | None = None,
) -> Iterator[Identified]:
    """Of the objects of a tree the one at ``inner``, and those below it if ``recursive``."""
    prefix = inner + b"/" if inner else b""
    for placed in objects:
        if placed.path == inner:
            if wanted not in ("auto", placed.id.kind.value) and inner:
                raise InvalidInput(f"{label} is a {placed.id.kind.word}, not of type {wanted}")
            if wanted == "cnt" and not inner:
                raise InvalidInput(f"{label} is a directory, not of type cnt")
            yield Identified(placed.id, label, note=note)
            return
        if recursive and placed.path.startswith(prefix):
            yield Identified(placed.id, label, placed.path[len(prefix) :])
    raise InvalidInput(f"{label}: the archive holds no {os.fsdecode(inner)!a}")


def _repository(label: str, path: Path, wanted: str, recursive: bool) -> Iterator[Identified]:
    git_dir = git_directory(path)
    if git_dir is None:
        raise InvalidInput(f"{label} is no git repository: it has no {wanted}")
    with scratch_folder("home") as home:
        snapshot = snapshot_of(path, git_dir, Runner(home))
    if wanted == "rev":
        head = resolve(snapshot, b"HEAD")
        if head is None or head.kind is not Kind.REVISION:
            raise InvalidInput(f"{label}: the HEAD of this repository is no revision (is it empty?)")
        yield Identified(head, label)
    elif wanted == "rel":
        yield from _releases(label, snapshot)
    else:
        if recursive:
            tips = sorted(set(edges_of_snapshot(snapshot)))
            yield from (Identified(tip, label, ref=_ref_of(snapshot, tip)) for tip in tips)
        yield Identified(object_id(snapshot), label)


def _releases(label: str, snapshot: Snapshot) -> Iterator[Identified]:
    found = False
    for name, branch in sorted(snapshot.branches.items()):
        if branch is not None and branch.type.kind is Kind.RELEASE:
            found = True
            yield Identified(ObjectId(Kind.RELEASE, branch.target), label, ref=name)
    if not found:
        raise InvalidInput(f"{label}: this repository has no annotated tag")


def _ref_of(snapshot: Snapshot, tip: ObjectId) -> bytes:
    return min(
        name
        for name, branch in snapshot.branches.items()
        if branch is not None and branch.target == tip.digest
    )


def _is_url(path: str) -> bool:
    return _URL.fullmatch(path) is not None and not os.path.lexists(path)


def _url(path: str) -> str:
    if not _URL.fullmatch(path):
        raise InvalidInput(f"{path!r} is no URL (scheme://…), so it names no origin")
    return path
