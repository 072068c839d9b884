"""Digest the contents of a git directory on all cores.

Each worker is a process of its own with a ``git cat-file --batch`` child of its own over a contiguous share of the ids
in pack order (delta bases stay in git's cache); it appends content rows to a record file as they come, so memory stays
bounded whatever the input. Few contents are digested in the calling process: a worker costs its start-up.

Run as a program (``python -m swhkit.digests``) this module is one worker.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from swhkit import records
from swhkit.child import Child
from swhkit.errors import Corrupt, Incomplete
from swhkit.git import Git
from swhkit.hashes import Hasher
from swhkit.model import ContentRow
from swhkit.process import Runner
from swhkit.swhid import Kind

#: Below these totals (contents, bytes) one process is quicker than starting more.
_ALONE = (2_000, 24 << 20)
#: What one content costs beyond its bytes, in bytes: balances the shares.
_EACH = 6_000
_REPORT = 500


def digest(
    git: Git,
    wanted: Path,
    output: Path,
    tell: Callable[[int], None] = lambda _: None,
    processes: int | None = None,
) -> list[Path]:
    """Digest the contents listed in ``wanted`` and return the record files written (``output`` with a number).

    ``wanted`` has a line ``HEX SIZE`` for each content, in pack order where that matters. ``tell`` hears how many are
    done. Each file is complete but not synced. Raises ``Incomplete`` when one of them cannot be read.
    """
    count, size = _measure(wanted)
    if count == 0:
        return []
    alone = count <= _ALONE[0] and size <= _ALONE[1]
    shares = _shares(wanted, 1 if alone else processes or os.cpu_count() or 1, count, size)
    files = [output.with_name(f"{output.name}-{number}") for number in range(len(shares))]
    if len(shares) == 1:
        _work(git, wanted, shares[0], files[0], tell)
    else:
        _start_all(git, wanted, shares, files, tell)
    return files


def _measure(wanted: Path) -> tuple[int, int]:
    count = size = 0
    with wanted.open("rb") as lines:
        for line in lines:
            count += 1
            size += int(line[41:])
    return count, size


def _shares(wanted: Path, processes: int, count: int, size: int) -> list[tuple[int, int]]:
    """Cut the list into (byte offset, lines) pieces of about equal work."""
    goal = (size + count * _EACH) / processes
    shares: list[tuple[int, int]] = []
    start = position = lines = 0
    work = 0.0
    with wanted.open("rb") as file:
        for line in file:
            position += len(line)
            lines += 1
            work += int(line[41:]) + _EACH
            if work >= goal and len(shares) < processes - 1:
                shares.append((start, lines))
                start, lines, work = position, 0, 0.0
    if lines:
        shares.append((start, lines))
    return shares


def _start_all(
    git: Git,
    wanted: Path,
    shares: Sequence[tuple[int, int]],
    files: Sequence[Path],
    tell: Callable[[int], None],
) -> None:
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                git.runner.start(_command(git, wanted, share, file), env=_python_path(), stdin=False)
            )
            for share, file in zip(shares, files, strict=True)
        ]
        for worker in workers:
            _follow(worker, tell)


def _python_path() -> dict[str, str]:
    """Children find the modules where this process found them."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _command(git: Git, wanted: Path, share: tuple[int, int], output: Path) -> list[str]:
    task = {
        "home": str(git.runner.home),
        "git_dir": str(git.git_dir),
        "alternates": [str(path) for path in git.alternates],
        "wanted": str(wanted),
        "offset": share[0],
        "lines": share[1],
        "output": str(output),
    }
    return [sys.executable, "-m", "swhkit.digests", json.dumps(task)]


def _follow(worker: Child, tell: Callable[[int], None]) -> None:
    for line in worker.stdout:
        text = line.decode("utf-8", "replace").strip()
        if not text.isdecimal():
            raise Incomplete(text)
        tell(int(text))
    worker.wait()


def _work(git: Git, wanted: Path, share: tuple[int, int], output: Path, tell: Callable[[int], None]) -> None:
    done = told = 0
    with output.open("wb", buffering=1 << 18) as file:
        for row in _rows(git, wanted, share):
            file.write(records.encode(row))
            done += 1
            if done - told >= _REPORT:
                tell(done - told)
                told = done
    tell(done - told)
    if done != share[1]:
        raise Incomplete(
            f"{share[1]} contents were to be digested, {done} could be read; the origin's packs lack some"
        )


def _rows(git: Git, wanted: Path, share: tuple[int, int]) -> Iterator[ContentRow]:
    for id, length, chunks in git.read(_ids(wanted, share)):
        if id.kind is not Kind.CONTENT:
            raise Corrupt(f"{id} is listed as a content and is none")
        # git's index-pack has verified the id a moment ago; the other digests are new.
        hasher = Hasher(length, sha1_git=id.digest)
        for chunk in chunks:
            hasher.update(chunk)
        yield ContentRow.of(hasher.finish())


def _ids(wanted: Path, share: tuple[int, int]) -> Iterator[bytes]:
    with wanted.open("rb") as file:
        file.seek(share[0])
        for line in islice(file, share[1]):
            yield bytes.fromhex(line[:40].decode("ascii"))


def _main() -> int:
    task = json.loads(sys.argv[1])
    runner = Runner(Path(task["home"]))
    git = Git(runner, Path(task["git_dir"]), alternates=[Path(path) for path in task["alternates"]])
    try:
        share = (task["offset"], task["lines"])
        _work(git, Path(task["wanted"]), share, Path(task["output"]), lambda n: print(n, flush=True))
    except (Incomplete, Corrupt) as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
