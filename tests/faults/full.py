"""Full disks: small tmpfs file systems in a mount namespace of their own, filled until a number of KiB is left.

``disks`` makes them; nobody outside sees them, and they vanish with the child that holds the namespace. ``try_level``
loads a repository at one fill level and expects one clear message, an archive that can be read, nothing half-written,
and, once there is room again, what a run without faults gives. Runnable alone, from the project's root::

    python -m tests.faults.full --steps 60 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.common import Expected, assert_sound, clean_run, make_store, visit_here
from generate import git, repository
from program import environment

#: What an error on a full disk must say.
FULL = ("No space left on device", "disk is full")
_SIZE = "size=64m"


def may_mount() -> bool:
    """Whether this machine lets us mount a tmpfs in a namespace of our own."""
    script = "mount -t tmpfs -o size=64k none /mnt"
    return subprocess.run([*_unshare(), "sh", "-c", script], capture_output=True, check=False).returncode == 0


def _unshare() -> list[str]:
    return ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]


class Disks:
    """Small disks at paths of their own. Programs run ``inside``; ``seen`` is where this process finds a path."""

    def __init__(self, holder: subprocess.Popen[str]) -> None:
        self._holder = holder
        user = [] if os.getuid() == 0 else ["-U", "--preserve-credentials"]
        self._enter = ["nsenter", "-t", str(holder.pid), *user, "-m", "--"]

    def seen(self, path: Path) -> Path:
        """Where ``path`` of the namespace is for a process outside of it."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def start(self, *argv: str | Path, cwd: Path, **options: Any) -> subprocess.Popen[str]:
        """Start a program inside."""
        return subprocess.Popen(
            [*self._enter, "sh", "-c", 'cd "$0" && exec "$@"', cwd, *argv],
            env=environment() | {"TMPDIR": tempfile.gettempdir()}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def swhkit(self, *args: str | Path, cwd: Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run ``swhkit ARGS`` inside; ``code`` None allows any exit code but that of an internal error."""
        process = self.start(sys.executable, "-m", "swhkit", *args, cwd=cwd)
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in err + out, err + out
        assert "internal error" not in err + out, err + out
        assert process.returncode != 70, err
        assert code is None or process.returncode == code, (args, process.returncode, out, err)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def bring(self, folder: Path, disk: Path) -> None:
        """Copy a folder's entries to a disk."""
        subprocess.run(["cp", "-a", f"{folder}/.", self.seen(disk)], check=True)

    def take(self, disk: Path, folder: Path) -> None:
        """Copy a disk's entries, without ballast, to a new folder outside."""
        shutil.copytree(self.seen(disk), folder, ignore=shutil.ignore_patterns("ballast", "files"))

    def free(self, disk: Path) -> int:
        """Bytes that are free on a disk."""
        state = os.statvfs(self.seen(disk))
        return state.f_bavail * state.f_bsize

    def free_inodes(self, disk: Path) -> int:
        """How many files can still be made on a disk."""
        return os.statvfs(self.seen(disk)).f_favail

    def fill(self, disk: Path, left: int) -> None:
        """Fill a disk until ``left`` bytes (in whole pages) are free."""
        ballast = self.seen(disk) / "ballast"
        ballast.touch()
        with ballast.open("r+b") as file:
            size = file.seek(0, os.SEEK_END) + self.free(disk) - left
            file.truncate(0)
            if size > 0:
                os.posix_fallocate(file.fileno(), 0, size)

    def fill_inodes(self, disk: Path, left: int) -> None:
        """Make files on a disk until it has room for ``left`` more."""
        ballast, number = self.seen(disk) / "files", 0
        ballast.mkdir()
        while self.free_inodes(disk) > left:
            (ballast / str(number)).touch()
            number += 1

    def empty(self, disk: Path) -> None:
        """Take the ballast away."""
        (self.seen(disk) / "ballast").unlink(missing_ok=True)
        subprocess.run(["rm", "-rf", self.seen(disk) / "files"], check=True)


@contextlib.contextmanager
def disks(*mounts: tuple[Path, str]) -> Iterator[Disks]:
    """Mount a tmpfs at each of some folders (made if need be), with these mount options, for the time of the block."""
    lines = []
    for path, options in mounts:
        path.mkdir(parents=True, exist_ok=True)
        lines.append(f"mount -t tmpfs -o {options} swhkit-test {path}")
    script = " && ".join([*lines, "echo ready", "exec cat"])
    with subprocess.Popen(
        [*_unshare(), "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n", "no tmpfs can be mounted in a namespace of its own"
        try:
            yield Disks(holder)
        finally:
            holder.communicate(timeout=20)


def upstream(folder: Path, *, revisions: int = 120, ballast: int = 600 << 10, seed: int = 7) -> Path:
    """A repository whose pack is a bit more than ``ballast`` bytes."""
    path = repository(folder, revisions, seed=seed)
    data = random.Random(seed).randbytes(ballast)
    stream = b"commit refs/heads/large\ncommitter C <c@example.org> 1500000000 +0000\ndata 2\nx\n"
    stream += b"M 100644 inline large\ndata %d\n%s\n" % (len(data), data)
    git(path, "fast-import", "--quiet", input=stream)
    return path


def leftovers(there: Disks, cwd: Path) -> list[str]:
    """What only a visit in the making may have on disk, relative to the archive."""
    archive = there.seen(cwd / "archive")
    packs = archive / "objects" / "objects" / "pack"
    found = [
        *(archive / "stage" / "visits").glob("*"),
        *(archive / "objects" / "swhkit" / "tmp").glob("*"),
        *packs.glob("tmp*"),
        *packs.glob("*.tmp"),
        *packs.parent.glob("[0-9a-f][0-9a-f]"),
        *(pack for pack in packs.glob("*.pack") if not pack.with_suffix(".idx").exists()),
    ]
    return sorted(str(path.relative_to(archive)) for path in found)


def is_clear(said: str, url: str) -> bool:
    """Whether an error says once that a disk is full, which (by a path on it), and for which origin."""
    lines = [line for line in said.splitlines() if "(guessed)" not in line]
    told = [line for line in lines if any(words in line for words in FULL)]
    return len(told) == 1 and len(lines) == 1 and url in told[0] and "archive" in told[0].replace(url, "")


@dataclass(frozen=True)
class Case:
    """What is loaded into which store: a prepared one that holds ``first``, and ``repository``, which is to come."""

    store: Path
    first: str
    repository: str
    expected: Expected


def prepare(folder: Path, seed: int = 7) -> Case:
    """A store with a small repository in it, a larger one to load, and what a clean run of both gives."""
    first = f"file://{repository(folder / 'first.git', 5, seed=3)}"
    second = f"file://{upstream(folder / 'second.git', seed=seed)}"
    expected = clean_run(folder / "clean", [first, second])
    visit_here(make_store(folder / "store"), first)
    return Case(folder / "store", first, second, expected)


def need(case: Case, disk: Path) -> int:
    """How many bytes have to be free for the load to come to its end, about: what it takes at most."""
    with disks((disk, _SIZE)) as there:
        there.bring(case.store, disk)
        before = low = there.free(disk)
        process = there.start(sys.executable, "-m", "swhkit", "load", case.repository, cwd=disk)
        while process.poll() is None:
            low = min(low, there.free(disk))
            time.sleep(0.001)
        assert process.returncode == 0, process.communicate()
        process.communicate()
        return before - low


def try_level(case: Case, disk: Path, left: int, aside: Path) -> bool:
    """Load with ``left`` bytes free; whether it came to its end. ``aside``: a folder for a copy of the store."""
    with disks((disk, _SIZE)) as there:
        there.bring(case.store, disk)
        there.fill(disk, left)
        done = there.swhkit("load", case.repository, cwd=disk, code=None)
        if done.returncode != 0:
            must_fail_well(there, done, case, disk)
        there.take(disk, aside)
    assert_sound(aside, case.expected, programs=False, note=f"{left >> 10} KiB were left")
    return done.returncode == 0


def must_fail_well(there: Disks, done: subprocess.CompletedProcess[str], case: Case, disk: Path) -> None:
    """A load that found its disk full has said so, keeps nobody from reading, and left nothing half-written."""
    said = done.stdout + done.stderr
    assert done.returncode == 1, (done.returncode, said)
    assert is_clear(said, case.repository), said
    must_read(there, case, disk)
    kept = "is kept" in said
    rest = [name for name in leftovers(there, disk) if not (kept and name.startswith("stage/visits/"))]
    assert rest == [], (rest, said)


def must_read(there: Disks, case: Case, disk: Path) -> None:
    """What is held can be read as ever."""
    snapshot = case.expected.snapshots[case.first]
    assert snapshot in there.swhkit("show", snapshot, cwd=disk).stdout
    assert json.loads(there.swhkit("stats", "--json", cwd=disk).stdout)["origin"] >= 1
    checked = there.swhkit("check", "--full", cwd=disk, code=None)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "nothing is wrong" in checked.stdout, checked.stdout


def main(arguments: list[str] | None = None) -> int:
    """Try fill levels from nothing to more than enough."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.full", description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="swhkit-full-") as place:
        case = prepare(Path(place), options.seed)
        disk = Path(place, "disk")
        most = need(case, disk)
        fitted = 0
        for step in range(options.steps):
            left = most * 11 // 10 * step // max(options.steps - 1, 1) & ~4095
            fits = try_level(case, disk, left, Path(place, f"aside-{step}"))
            fitted += fits
            print(f"{left >> 10} KiB left: {'loaded' if fits else 'failed well'}", flush=True)
        print(
            f"{options.steps} fill levels up to {most * 11 // 10 >> 10} KiB, {fitted} had room, seed {options.seed}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
