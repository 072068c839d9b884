"""A git repository on this machine as a snapshot: its refs, without loading anything.

The branches are those the git loader would make (full names and ``HEAD``, symbolic refs as aliases, no merge results
of requests, nothing of pipelines and Gerrit changes). The repository may be a stranger's: git reads its refs, objects
are looked up through a git directory of our own that has the repository's objects as alternates, so that nothing its
configuration says is done.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from swhkit.errors import ChildFailed, InvalidInput
from swhkit.git import Git
from swhkit.model import Branch, BranchType, Snapshot
from swhkit.process import Runner
from swhkit.refnames import is_branch
from swhkit.swhid import Kind, ObjectId

_SYMREF = re.compile(rb"ref:\s*(\S+)\s*\Z")
#: A missing object is never fetched, whatever the repository's configuration says of promisors.
_OFFLINE = {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}


def git_directory(path: Path) -> Path | None:
    """The git directory of a work tree or bare repository, None if there is none."""
    if is_bare(path):
        return path
    inner = path / ".git"
    if inner.is_file():
        text = _head_of(inner)
        if not text.startswith(b"gitdir: "):
            return None
        inner = path / os.fsdecode(text.removeprefix(b"gitdir: ").strip())
    return inner if is_bare(inner) or (inner / "commondir").is_file() else None


def is_bare(path: Path) -> bool:
    """Whether a folder is itself a git directory."""
    return os.path.lexists(path / "HEAD") and (path / "objects").is_dir() and (path / "refs").is_dir()


def snapshot_of(path: Path, git_dir: Path, runner: Runner) -> Snapshot:
    """The snapshot of all refs. Raises ``InvalidInput`` if git cannot read it or an object is missing."""
    git = Git(runner, git_dir)
    try:
        common = (git_dir / os.fsdecode(_line(git, "rev-parse", "--git-common-dir") or b".")).resolve()
        listed = git.run(
            "for-each-ref", "--format=%(objectname) %(refname)", env=_OFFLINE, max_output=1 << 30
        )
        head_alias = _line(git, "symbolic-ref", "-q", "HEAD")
        head = _line(git, "rev-parse", "-q", "--verify", "HEAD")
    except ChildFailed as error:
        raise InvalidInput(f"{path}: git cannot read this repository ({_last_words(error)})") from None
    refs: dict[bytes, bytes] = {}
    for line in listed.stdout.splitlines():
        digest, _, name = line.partition(b" ")
        refs[name] = digest
    aliases = {
        name: target for name, target in _symrefs(common) if name != target and _leads_on(name, common)
    }
    if head_alias:
        aliases[b"HEAD"] = head_alias
    elif head:
        refs[b"HEAD"] = head
    refs = {name: digest for name, digest in refs.items() if is_branch(name) and name not in aliases}
    return _snapshot(
        path, refs, {n: t for n, t in aliases.items() if is_branch(n)}, common / "objects", runner
    )


def _snapshot(
    path: Path, refs: dict[bytes, bytes], aliases: dict[bytes, bytes], objects: Path, runner: Runner
) -> Snapshot:
    branches: dict[bytes, Branch | None] = {}
    for name, kind, digest in _kinds(path, refs, objects, runner):
        branches[name] = Branch(BranchType(kind.word), digest)
    for name, target in aliases.items():
        branches[name] = Branch(BranchType.ALIAS, target)
    for target in aliases.values():
        branches.setdefault(target, None)
    return Snapshot(branches)


def _kinds(
    path: Path, refs: dict[bytes, bytes], objects: Path, runner: Runner
) -> Iterator[tuple[bytes, Kind, bytes]]:
    """(name, kind, digest) of each ref."""
    if any(len(digest) != 40 for digest in refs.values()):
        raise InvalidInput(
            f"{path}: this repository's objects are named by SHA-256; SWHIDs exist for SHA-1 only"
        )
    reader = Git.init(runner, runner.home / "reader.git", alternates=[objects])
    digests = {bytes.fromhex(digest.decode("ascii")) for digest in refs.values()}
    kinds = {digest: kind for digest, kind, _ in reader.check(sorted(digests))}
    for name, text in refs.items():
        digest = bytes.fromhex(text.decode("ascii"))
        kind = kinds.get(digest)
        if kind is None:
            raise InvalidInput(
                f"{path}: the ref {os.fsdecode(name)!a} names {text.decode()}, which is missing"
            )
        yield name, kind, digest


def resolve(snapshot: Snapshot, name: bytes) -> ObjectId | None:
    """What a branch points at, aliases followed; None if nothing."""
    for _ in range(len(snapshot.branches) + 1):
        branch = snapshot.branches.get(name)
        if branch is None:
            return None
        if branch.type.kind is not None:
            return ObjectId(branch.type.kind, branch.target)
        name = branch.target
    return None


def _symrefs(common: Path) -> Iterator[tuple[bytes, bytes]]:
    """Symbolic refs with their targets: files below ``refs``, which are never packed."""
    folders = [b"refs"]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.fsencode(common) + b"/" + folder) as entries:
                found = list(entries)
        except OSError:
            continue
        for entry in found:
            name = folder + b"/" + entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif match := _SYMREF.match(_head_of(Path(os.fsdecode(entry.path)))):
                yield name, match[1]


def _leads_on(name: bytes, common: Path) -> bool:
    """Whether a symbolic ref leads anywhere but back to itself."""
    seen = {name}
    while match := _SYMREF.match(_head_of(common / os.fsdecode(name))):
        name = match[1]
        if name in seen or b".." in name or name.startswith(b"/"):
            return False
        seen.add(name)
    return True


def _head_of(path: Path) -> bytes:
    """The first bytes of a regular file; nothing of links, pipes, devices, and what cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(handle, 4096) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)


def _line(git: Git, *args: str) -> bytes:
    """What a command says, stripped; nothing where it ends with 1 (git's silent no). Raises ``ChildFailed``."""
    done = git.run(*args, check=False, env=_OFFLINE)
    if done.code not in (0, 1):
        raise ChildFailed(done.argv, done.code, done.stderr)
    return done.stdout.strip() if done.code == 0 else b""


def _last_words(error: ChildFailed) -> str:
    return (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
