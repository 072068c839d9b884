"""Git repositories made up for tests: a history of any length, by ``git fast-import``, the same for the same numbers."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "1500000000 +0200",
    "GIT_COMMITTER_NAME": "C",
    "GIT_COMMITTER_EMAIL": "c@example.org",
    "GIT_COMMITTER_DATE": "1500000000 +0200",
}


def git(folder: Path, *args: str | Path, input: bytes | None = None) -> str:
    """Run git in ``folder`` and return what it prints, stripped."""
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", folder, *args],
        input=input, capture_output=True, check=True, env=_ENVIRONMENT,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace").strip()


def repository(path: Path, revisions: int, *, seed: int = 1, branches: int = 3) -> Path:
    """A bare repository: ``revisions`` revisions on main (each some five objects), branches and tags along it."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare", "-b", "main")
    git(path, "fast-import", "--quiet", input=b"".join(_history(revisions, seed, branches)))
    return path


def add_revisions(path: Path, count: int, *, branch: str = "main", seed: int = 2) -> None:
    """Add ``count`` revisions to a branch of a bare repository."""
    tip = git(path, "rev-parse", f"refs/heads/{branch}")
    stream = b"".join(_revisions(count, seed, f"refs/heads/{branch}", start=10_000_000, parent=tip))
    git(path, "fast-import", "--quiet", input=stream)


def _history(revisions: int, seed: int, branches: int) -> Iterator[bytes]:
    yield from _revisions(revisions, seed, "refs/heads/main")
    for number in range(branches):
        mark = max(1, revisions * (number + 1) // (branches + 1))
        yield b"reset refs/heads/b%d\nfrom :%d\n\n" % (number, mark)
        yield b"tag v%d\nfrom :%d\ntagger T <t@example.org> 1500000000 +0000\ndata 2\nx\n\n" % (number, mark)


def _revisions(
    count: int, seed: int, ref: str, *, start: int = 0, parent: str | None = None
) -> Iterator[bytes]:
    chance = random.Random(seed)
    for number in range(1, count + 1):
        when = 1_400_000_000 + (start + number) * 60 % 100_000_000
        text = f"revision {start + number} of {seed}\n".encode()
        body = b"%d\n" % chance.getrandbits(64) + b"line\n" * chance.randrange(60)
        name = f"d{chance.randrange(20)}/e{chance.randrange(20)}/f{chance.randrange(30)}"
        yield f"commit {ref}\nmark :{number}\n".encode()
        yield b"author U%d <u%d@example.org> %d +0100\n" % (number % 17, number % 17, when)
        yield b"committer C <c@example.org> %d +0000\ndata %d\n%s" % (when, len(text), text)
        if number == 1 and parent:
            yield f"from {parent}\n".encode()
        yield b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(body), body)


def object_counts(path: Path) -> dict[str, int]:
    """How many objects of each git type a repository has."""
    lines = git(path, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").splitlines()
    return {kind: lines.count(kind) for kind in ("blob", "tree", "commit", "tag")}
