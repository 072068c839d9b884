"""Everybody at once: writers, readers, maintenance and checks on one archive, for a while.

Four writers run ``swhkit load`` in loops, on repositories that grow, on forks of one another and on new ones; sixteen
readers ask a ``swhkit serve`` and believe nothing (``readers``); ``swhkit maintain`` and ``swhkit check`` run without a
break. Nobody may fail, wait in vain for a lock, or get a wrong byte; the server's memory stays bounded; afterwards the
archive is what a quiet one would be. Runnable alone, from the project's root::

    python -m tests.faults.concurrency --seconds 60 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.common import Expected, assert_sound, clean_run, make_store
from faults.readers import Reader, Truth
from generate import add_revisions, git, repository
from program import counters, run, start

from swhkit.testing.processes import anonymous

WRITERS, READERS = 4, 16
#: Anonymous memory of the server (bytes).
MEMORY = 256 << 20
#: A content that is sent as a stream, in bytes.
LARGE = 6 << 20
#: New origins that each writer makes, forks of the first repository or unrelated to it.
NEW = 2
#: What no program has any business to say.
_BAD = re.compile(r"locked|in use by another process|Traceback|StorageDBError|Corrupt|cut short", re.I)


class Load:
    """One run: its store, what was made, what went wrong."""

    def __init__(self, folder: Path, seed: int, seconds: float) -> None:
        self.folder, self.seed, self.seconds = folder, seed, seconds
        self.store = make_store(folder / "store")
        self.base = repository(folder / "base.git", 25, seed=seed)
        add_large(self.base, seed)
        self.urls = [f"file://{self.base}"]
        self.snapshots: set[str] = set()
        self.done: Counter[str] = Counter()
        self.stop = threading.Event()
        self.memory = 0
        self.truth = Truth(lambda: self.urls, self.packs)

    def packs(self) -> set[str]:
        """The packs of the archive."""
        return {
            path.name for path in (self.store / "archive" / "objects" / "objects" / "pack").glob("*.pack")
        }

    def program(self, *args: str) -> str:
        """Run ``swhkit ARGS``, which must end with 0 and without complaints; what it prints."""
        process = start(*args, cwd=self.store)
        out, err = process.communicate(timeout=120)
        if process.returncode != 0 or _BAD.search(err) or (args[0] != "load" and _BAD.search(out)):
            self.truth.problems.append(
                f"swhkit {' '.join(args)} ended with {process.returncode}: {out[-1500:]} {err[-1500:]}"
            )
        self.done[args[0]] += 1
        return out

    def load(self, *urls: str) -> None:
        """Visit origins; all visits must be full."""
        out = self.program("load", "--json", *urls)
        for report in json.loads(out or "[]"):
            if report["status"] != "full" or report["error"]:
                self.truth.problems.append(f"a visit failed: {report}")
            self.snapshots.add(str(report["snapshot"]))

    # -- who works -----------------------------------------------------------------------------------------------------

    def writer(self, number: int) -> None:
        """Load what grows: a fork of one's own, the repository all have in common, new ones."""
        chance = random.Random(self.seed * 100 + number)
        fork = self.fork(f"fork-{number}")
        new = 0
        for step in range(1, 1_000_000):
            if self.over():
                return
            what = chance.choice(("grow", "grow", "common", "new" if new < NEW else "grow"))
            if what == "grow":
                add_revisions(fork, chance.randrange(1, 4), seed=self.seed + 1000 * number + step)
                if chance.random() < 0.2:
                    add_large(fork, self.seed + 1000 * number + step)
                self.load(f"file://{fork}")
            elif what == "common":
                if number == 0:  # nobody else writes to it
                    add_revisions(self.base, 1, seed=self.seed + step)
                self.load(f"file://{self.base}")
            else:
                new += 1
                self.load(f"file://{self.another(f'new-{number}-{new}', chance)}")

    def fork(self, name: str) -> Path:
        """A fork of the common repository, as it is now."""
        path = self.folder / f"{name}.git"
        git(self.folder, "clone", "-q", "--bare", f"file://{self.base}", path)
        self.urls.append(f"file://{path}")
        return path

    def another(self, name: str, chance: random.Random) -> Path:
        """A new origin: a fork that went on, or a repository that has nothing in common with the others."""
        seed = chance.randrange(1 << 30)
        if chance.random() < 0.5:
            path = self.fork(name)
            add_revisions(path, 2, seed=seed)
            return path
        path = repository(self.folder / f"{name}.git", chance.randrange(3, 12), seed=seed)
        self.urls.append(f"file://{path}")
        return path

    def maintain(self) -> None:
        """Merge packs without a break."""
        while not self.over():
            if "became" in self.program("maintain"):
                self.done["merges"] += 1

    def check(self) -> None:
        """Check without a break, every second time in full."""
        while not self.over():
            self.program("check")
            self.program("check", "--full")

    def watch(self, server: int) -> None:
        """The highest anonymous memory of the server."""
        while not self.over():
            self.memory = max(self.memory, anonymous(server))
            time.sleep(0.5)

    def over(self) -> bool:
        """Whether to stop, for the time is up or something is wrong."""
        return self.stop.is_set() or bool(self.truth.problems)

    # -- the run -------------------------------------------------------------------------------------------------------

    def run(self) -> str:
        """Everybody for ``seconds``, then the archive is judged. Raises ``AssertionError``; returns what was done."""
        self.load(*self.urls)
        server = start("serve", "--listen", "127.0.0.1:0", cwd=self.store)
        try:
            assert server.stdout is not None
            assert server.stderr is not None
            base = server.stdout.readline().strip().rstrip("/") + "/api/1"
            log: list[str] = []
            reading = threading.Thread(target=lambda: log.extend(server.stderr or ()), daemon=True)
            reading.start()
            self.work(base, server.pid)
            kept = deleted_packs(server.pid)
            self.check_server(server, log, reading)
        finally:
            if server.poll() is None:
                server.kill()
            server.wait()
        self.judge(kept)
        return (
            f"{self.truth.answers} answers, {self.truth.survived} streams that outlived a pack, "
            f"{len(self.truth.held)} objects below {len(self.truth.whole)} snapshots read and hashed, "
            f"{dict(self.done)}, {len(self.urls)} origins, server {self.memory >> 20} MiB"
        )

    def work(self, base: str, server: int) -> None:
        """Let all of them work at once."""
        jobs: list[tuple[Callable[..., None], tuple[int, ...]]] = [
            (self.writer, (number,)) for number in range(WRITERS)
        ]
        jobs += [(self.maintain, ()), (self.check, ()), (self.watch, (server,))]
        threads = [threading.Thread(target=self.guarded, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        try:
            asyncio.run(self.read(base))
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def guarded(self, job: Callable[..., None], arguments: tuple[int, ...]) -> None:
        """Run a job in a thread; that it raises is a problem, too."""
        try:
            job(*arguments)
        except Exception as error:  # noqa: BLE001
            self.truth.problems.append(f"{job.__name__}: {error!r}")

    async def read(self, base: str) -> None:
        """The readers, until the time is up; then every object once seen is asked for again."""
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(self.seconds, stop.set)
        readers = [Reader(base, self.truth, self.seed + number) for number in range(READERS)]
        await asyncio.gather(*(reader.run(stop) for reader in readers))

    def check_server(self, server: subprocess.Popen[str], log: list[str], reading: threading.Thread) -> None:
        """It ends when it is told to, and had nothing to say."""
        self.memory = max(self.memory, anonymous(server.pid))
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
        reading.join(timeout=10)
        if server.returncode != 0 or log:
            self.truth.problems.append(f"serve ended with {server.returncode} and said {log[-20:]}")

    def judge(self, kept: int) -> None:
        """The archive is sound, complete, and as a quiet one would be."""
        assert not self.truth.problems, self.truth.problems[:5]
        self.load(*self.urls)
        assert not self.truth.problems, self.truth.problems[:5]
        assert self.memory <= MEMORY, f"the server took {self.memory >> 20} MiB"
        assert kept <= 2 * READERS, f"the server kept {kept} deleted packs open"
        lost = {f"swh:1:snp:{digest}" for digest in self.truth.whole} - self.snapshots
        assert not lost, f"snapshots of full visits that no load reported: {lost}"
        quiet = clean_run(self.folder / "quiet", self.urls)
        expected = Expected(quiet.snapshots, quiet.counters | {"snapshot": len(self.snapshots)})
        assert_sound(self.store, expected, programs=False)
        assert counters(self.store)["origin_visit"] >= self.done["load"]
        for folder in (self.store, self.folder / "quiet"):
            run("maintain", cwd=folder)
        size, quiet_size = disk(self.store), disk(self.folder / "quiet")
        # what is no delta of something in its own pack lies there whole: each pack may have one of the large versions
        allowed = 1.2 * quiet_size + LARGE * (len(self.packs()) - 1)
        assert size <= allowed, f"{size} bytes in {len(self.packs())} packs; a quiet archive has {quiet_size}"


def add_large(path: Path, seed: int) -> None:
    """Add a revision with a large file to a bare repository: the same random bytes but for a few, as files change."""
    data = bytearray(random.Random(1).randbytes(LARGE))
    data[seed * 997 % LARGE :][:8] = b""
    data[seed * 997 % LARGE] ^= 0xFF
    data += b"%d" % seed
    tip = git(path, "rev-parse", "refs/heads/main")
    head = (
        f"commit refs/heads/main\ncommitter L <l@example.org> 1500000000 +0000\ndata 6\nlarge\n\nfrom {tip}\n"
    )
    body = b"M 100644 inline large.bin\ndata %d\n%s\n" % (len(data), bytes(data))
    git(path, "fast-import", "--quiet", input=head.encode() + body)


def deleted_packs(process: int) -> int:
    """Deleted packs and indexes that a process still has mapped or open."""
    names = set(re.findall(r"(\S+\.(?:pack|idx)) \(deleted\)", Path(f"/proc/{process}/maps").read_text()))
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            target = str(link.readlink())
            names |= set(re.findall(r"(\S+\.(?:pack|idx)) \(deleted\)", target))
    return len(names)


def disk(store: Path) -> int:
    """Bytes of the packs of a store."""
    return sum(path.stat().st_size for path in (store / "archive" / "objects").rglob("*.pack"))


def everybody(folder: Path, seed: int, seconds: float) -> tuple[Load, str]:
    """One run; what it was, in words. Raises ``AssertionError`` that names the seed."""
    try:
        load = Load(folder, seed, seconds)
        return load, load.run()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error} [{folder}]") from error


def main() -> int:
    """One run, in a folder that is kept when it fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--folder", type=Path, help="where scratch folders are made (default: TMPDIR)")
    options: Any = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="swhkit-concurrency-", dir=options.folder))
    print(f"seed {options.seed}, {folder}", flush=True)
    _, told = everybody(folder, options.seed, options.seconds)
    print(told)
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
