"""What can be read of a repository or bundle on this machine that git does not tell. Read, never followed, never run."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

_SYMREF = re.compile(rb"ref:\s*(refs/[^\x00-\x20\x7f~^:?*\[\\]{1,4000})\s*\Z")
_PREREQUISITE = re.compile(rb"-([0-9a-f]{40})(?: |\Z)")
#: No symbolic ref is longer, no bundle header larger (bytes).
_REF_LIMIT, _HEADER_LIMIT = 4096, 64 << 20


def hidden_symrefs(repository: Path, advertised: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Symbolic refs that ``git ls-remote`` hides because their target is not there: pairs of name and target.

    They are files below ``refs`` (never packed) whose names are not among those ``advertised``.
    """
    for folder in _ref_folders(repository):
        root = os.fsencode(folder)
        for path, _, files in os.walk(os.path.join(root, b"refs")):  # noqa: PTH118 - names are bytes here
            for file in files:
                full = path + b"/" + file
                name = full[len(root) + 1 :]
                target = None if name in advertised else _symref(full)
                if target is not None:
                    yield name, target


def _ref_folders(repository: Path) -> list[Path]:
    """The git directory of a repository or work tree; of a linked work tree, the shared one."""
    git = repository / ".git" if (repository / ".git").exists() else repository
    if git.is_file():
        git = (
            repository / os.fsdecode(_head_of(os.fsencode(git)).removeprefix(b"gitdir: ").strip())
        ).absolute()
    common = git / "commondir"
    if common.is_file():
        git = (git / os.fsdecode(_head_of(os.fsencode(common)).strip())).resolve()
    return [git] if git.is_dir() else []


def _symref(path: bytes) -> bytes | None:
    match = _SYMREF.match(_head_of(path))
    return match[1] if match else None


def _head_of(path: bytes) -> bytes:
    """The first bytes of a regular file; nothing of links, pipes, devices, and what cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(handle, _REF_LIMIT) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(handle)


def prerequisites(bundle: Path) -> list[bytes]:
    """The digests (20 bytes) of the commits a bundle builds upon (gitformat-bundle); empty if it is no bundle."""
    found: list[bytes] = []
    try:
        with bundle.open("rb") as file:
            if not file.readline(100).startswith(b"# v"):
                return []
            while (line := file.readline(_HEADER_LIMIT)) not in (b"\n", b"") and file.tell() < _HEADER_LIMIT:
                if match := _PREREQUISITE.match(line.rstrip(b"\n")):
                    found.append(bytes.fromhex(match[1].decode("ascii")))
    except OSError:
        return []
    return found
