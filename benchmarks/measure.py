"""What the benchmarks share: sources to load from, commands to time, and ratios to print.

Everything a benchmark compares is run in turn, in one run, on one machine; what it prints are ratios, which mean the
same on another. Commands get a clean environment, so that nobody's configuration speeds one side up.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bridge

_MAIN = "import sys; from swhkit.cli.main import main; sys.exit(main())"
#: The program under test, without the start of a shell script between.
SWHKIT = [sys.executable, "-c", _MAIN]


def environment() -> dict[str, str]:
    """The environment of every child: git without anybody's configuration, able to read others' repositories."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SWHKIT_"))}
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def run(*argv: str | Path, stdin: bytes | None = None, codes: Sequence[int] = (0,)) -> bytes:
    """Run a command; its output. Raises ``SystemExit`` with its last words when it ends with another code."""
    done = subprocess.run(argv, input=stdin, capture_output=True, env=environment())
    if done.returncode not in codes:
        words = done.stderr.decode("utf-8", "replace").strip()[-2000:]
        raise SystemExit(f"{' '.join(map(str, argv[:6]))} ended with {done.returncode}: {words}")
    return done.stdout


def seconds(*argv: str | Path, codes: Sequence[int] = (0,)) -> float:
    """Wall time of a command, in seconds."""
    begun = time.monotonic()
    run(*argv, codes=codes)
    return time.monotonic() - begun


def load(archive: Path, url: str, visit_type: str = "git") -> dict[str, Any]:
    """Load ``url`` into the archive of the folder ``archive`` (made by ``init``); the report, with ``wall`` seconds.

    A partial visit counts (exit 3: upstream lacks something); a failed one ends the benchmark.
    """
    begun = time.monotonic()
    output = run(
        *SWHKIT,
        "--config",
        archive / "swhkit.yaml",
        "load",
        "--type",
        visit_type,
        "--json",
        "--",
        url,
        codes=(0, 3),
    )
    wall = time.monotonic() - begun
    report: dict[str, Any] = json.loads(output)[0]
    return report | {"wall": wall}


def new_archive(folder: Path) -> Path:
    """An empty archive in ``folder``."""
    run(*SWHKIT, "init", folder)
    return folder


def mirror(url: str, target: Path) -> Path:
    """A bare mirror clone, without the sample hooks of git's templates."""
    run("git", "clone", "-q", "--mirror", "--template=", "--", url, target)
    return target


def size(folder: Path) -> int:
    """Bytes in all files below a folder; a file with several names counts once."""
    files = {
        (stat.st_dev, stat.st_ino): stat.st_size for stat in (path.lstat() for path in folder.rglob("*"))
    }
    return sum(files.values()) - sum(path.lstat().st_size for path in folder.rglob("*") if path.is_dir())


def arguments(description: str, *, optional: bool = False) -> argparse.ArgumentParser:
    """The options that all benchmarks of repositories have; ``optional``: the repository may be left out."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "repository",
        nargs="?" if optional else None,
        help="path of a git repository, or a URL to fetch from as it is",
    )
    parser.add_argument("--transport", choices=("file", "http"), default="file", help="how a path is offered")
    parser.add_argument(
        "--folder", type=Path, help="where scratch folders are made (one file system; default: TMPDIR)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    parser.add_argument("--check", action="store_true", help="end with 1 when a limit is exceeded")
    return parser


@contextmanager
def offered(repository: str | Path, transport: str) -> Iterator[str]:
    """The URL at which both sides fetch the repository, for as long as the block lasts."""
    if "://" in str(repository):
        yield str(repository)
        return
    path = Path(repository).resolve()
    if not path.exists():
        raise SystemExit(f"{path} does not exist; give the path of a git repository or a URL")
    if transport == "file":
        yield path.as_uri()
        return
    with bridge.serving(path, environment()) as url:
        yield url


@contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """An empty folder that vanishes."""
    with tempfile.TemporaryDirectory(prefix="swhkit-benchmark-", dir=folder) as name:
        yield Path(name)


class Result:
    """One claim: a figure that must stay at or below a limit."""

    def __init__(self, name: str, figure: float, limit: float, detail: str) -> None:
        self.name, self.figure, self.limit, self.detail = name, figure, limit, detail

    @property
    def held(self) -> bool:
        """Whether the claim holds in this run."""
        return self.figure <= self.limit

    def line(self) -> str:
        """For people."""
        verdict = "ok" if self.held else "EXCEEDED"
        return f"{self.name:<24} {self.figure:8.3f}  limit {self.limit:.2f}  {verdict:<8}  {self.detail}"


def ratio(
    name: str, ours: Sequence[float], theirs: Sequence[float], limit: float, allowance: float = 0.0
) -> Result:
    """The median of the rounds' ratios, each after ``allowance`` (seconds of start-up) is taken off ours."""
    rounds = [max(a - allowance, 0.0) / b for a, b in zip(ours, theirs, strict=True)]
    plain = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    low, high = min(rounds), max(rounds)
    detail = (
        f"{statistics.median(ours):.3f} s / {statistics.median(theirs):.3f} s = {plain:.3f}; "
        f"less {allowance:g} s: {low:.3f}..{high:.3f} in {len(rounds)} rounds"
    )
    return Result(name, statistics.median(rounds), limit, detail)


def finish(results: Sequence[Result], options: argparse.Namespace) -> int:
    """Print the results; the exit code."""
    if options.json:
        rows = [
            {"name": r.name, "figure": r.figure, "limit": r.limit, "held": r.held, "detail": r.detail}
            for r in results
        ]
        print(
            json.dumps(
                {"repository": str(options.repository), "transport": options.transport, "results": rows}
            )
        )
    else:
        for result in results:
            print(result.line())
    return 1 if options.check and not all(result.held for result in results) else 0
