"""Kill what works in a store, at any moment, and see that the store is sound afterwards.

Run alone: ``python -m tests.faults.kill --runs 200 --seed 7 [--fault load,window,child,upkeep,term,stop]``. Each run
has a seed of its own (printed when it fails), so ``--only SEED`` repeats one. What is killed, and when:

- ``load``    the load, at a uniformly random moment from its start to a little after its end
- ``window``  the load, at a random moment from the making of its stage, its seal or the begin of its publish on
- ``child``   only one of its children: git, or a worker that digests
- ``upkeep``  ``maintain``, ``check --full`` or ``reindex``
- ``term``    the load, by SIGTERM
- ``stop``    the load is stopped for a while (SIGSTOP), while others load, check and serve
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faults.common import (
    KINDS,
    Expected,
    assert_sound,
    counters_of,
    get,
    make_store,
    opened,
    serving,
    unfinished,
    visit_here,
)
from generate import add_revisions, git, repository
from program import environment

from swhkit.model import VisitStatus
from swhkit.testing.processes import await_nobody_in, command_line, descendants, working_in

#: Children of a load that are hunted: how they show in a command line.
CHILDREN = ("fetch", "upload-pack", "index-pack", "rev-list", "cat-file", "pack-objects", "swhkit.digests")
UPKEEP = (("maintain",), ("check", "--full"), ("reindex",))
#: Exit code of a load that was ended by SIGTERM.
TERMINATED = 128 + signal.SIGTERM
_PATIENCE = 60.0


@dataclass(frozen=True)
class Case:
    """A store before, the origins that exist, and what a visit of ``url`` without faults makes of it.

    ``moments``: seconds after the start of a load at which it has a stage, is sealed, publishes, ends.
    """

    name: str
    kind: str
    template: Path
    url: str
    fork: str
    expected: Expected
    moments: dict[str, float]


class Bench:
    """Makes cases once and gives fresh copies of their stores."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cases: dict[tuple[str, str], Case] = {}
        self._origins: dict[str, tuple[str, str]] = {}
        self._number = 0

    def case(self, name: str, kind: str) -> Case:
        """``first``: a first load; ``more``: an incremental one; ``big``: a first one of 20,000 objects."""
        if (name, kind) not in self._cases:
            self._cases[name, kind] = self._make(name, kind)
        return self._cases[name, kind]

    def fresh(self, case: Case) -> Path:
        """A new copy of the store of a case."""
        self._number += 1
        return Path(shutil.copytree(case.template, self.root / f"run-{self._number}-{case.name}-{case.kind}"))

    def _make(self, name: str, kind: str) -> Case:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{kind}-", dir=self.root))
        template = make_store(folder / "template", kind)
        path = repository(folder / "origin.git", 4_000 if name == "big" else 6)
        url = f"file://{path}"
        if name == "more":
            visit_here(template, url)
            add_revisions(path, 4)
            git(path, "branch", "-D", "b0")
        fork = folder / "fork" / "origin.git"
        fork.parent.mkdir()
        git(folder, "clone", "-q", "--bare", url, fork)
        add_revisions(fork, 2, seed=9)
        case = Case(name, kind, template, url, f"file://{fork}", Expected({}, {}), {})
        clean = self.fresh(case)
        moments = _measured(clean, url)
        return replace(case, expected=expected_of(clean, [url]), moments=moments)


def expected_of(folder: Path, urls: Sequence[str]) -> Expected:
    """What a store has after visits of ``urls`` that went well."""
    with opened(folder) as target:
        ended = {url: target.catalog.latest_visit(url, require_snapshot=True) for url in urls}
        assert all(made is not None and made.status is VisitStatus.FULL for made in ended.values()), ended
        snapshots = {url: f"swh:1:snp:{(made.snapshot or b'').hex()}" for url, made in ended.items() if made}
        return Expected(snapshots, counters_of(target))


# -- processes ---------------------------------------------------------------------------------------------------


def start(folder: Path, *args: str) -> subprocess.Popen[str]:
    """``swhkit ARGS`` in a store, in a session of its own; its temporary files are in ``tmp`` there."""
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "swhkit", *args], cwd=folder, text=True, start_new_session=True,
        env=environment() | {"TMPDIR": str(folder / "tmp")},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process: subprocess.Popen[str], seconds: float = _PATIENCE) -> tuple[int, str, str]:
    """Wait for a process; its code, and what it said, which is never a traceback."""
    out, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def kill(process: subprocess.Popen[str], folder: Path) -> None:
    """SIGKILL the group of a process, and wait until its children, who are in groups of their own, are gone too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    await_nobody_in(folder)


# -- moments -----------------------------------------------------------------------------------------------------


def _reached(folder: Path) -> str:
    """How far the load in a store has come, by the files of its stage."""
    stage = folder / "archive" / "stage"
    try:
        stages = [path for path in (stage / "visits").iterdir() if not path.name.endswith(".trash")]
    except OSError:
        return "start"
    if (stage / "publishing").exists():
        return "publishing"
    if any((path / "sealed").exists() for path in stages):
        return "sealed"
    return "staged" if stages else "start"


def await_moment(process: subprocess.Popen[str], folder: Path, moment: str) -> None:
    """Return as soon as the load has come to a moment, or has ended."""
    while process.poll() is None and _reached(folder) != moment:
        time.sleep(0.0003)


def _measured(folder: Path, url: str) -> dict[str, float]:
    """When a load comes to its moments."""
    begun, moments = time.monotonic(), dict[str, float]()
    process = start(folder, "load", url)
    while process.poll() is None:
        moments.setdefault(_reached(folder), time.monotonic() - begun)
        time.sleep(0.0005)
    moments["end"] = time.monotonic() - begun
    code, _, err = end(process)
    assert code == 0, err
    moments.setdefault("staged", 0.5 * moments["end"])
    moments.setdefault("sealed", 0.9 * moments["end"])
    moments.setdefault("publishing", moments["sealed"])
    return moments


def where_died(folder: Path, url: str) -> str:
    """What the kill has left: read from the files, before anything recovers."""
    reached = _reached(folder)
    if not (folder / "archive" / "catalog.sqlite").exists() or not (folder / "archive" / "stage").exists():
        return "before the archive"
    try:
        with opened(folder) as target:
            latest = target.catalog.latest_visit(url)
            if latest is not None and latest.status.final:
                return "after" if reached == "start" else f"after, {reached}"
    except Exception as error:  # noqa: BLE001 (the programs tell more)
        return f"unreadable ({error})"
    return {"start": "before open", "staged": "before sealed"}.get(reached, reached)


# -- faults ------------------------------------------------------------------------------------------------------


def _some_case(bench: Bench, chance: random.Random, share_of_big: float) -> Case:
    name = "big" if chance.random() < share_of_big else chance.choice(("first", "more"))
    return bench.case(name, chance.choice(KINDS))


def kill_load(bench: Bench, chance: random.Random, programs: bool, big: float) -> str:
    """The load dies at any moment."""
    case = _some_case(bench, chance, big)
    folder, moment = bench.fresh(case), chance.uniform(0, 1.05 * case.moments["end"])
    process = start(folder, "load", case.url)
    time.sleep(moment)
    return _killed(process, folder, case, programs)


def kill_in_window(bench: Bench, chance: random.Random, programs: bool, big: float) -> str:
    """The load dies at a random moment after a known one."""
    case, moment = (
        _some_case(bench, chance, big),
        chance.choice(("staged", "sealed", "publishing", "publishing")),
    )
    delay = chance.uniform(0, 1.05 * max(case.moments["end"] - case.moments[moment], 0.02))
    if moment == "publishing":  # most of the rest of the time the interpreter ends
        delay = min(delay, chance.uniform(0, 0.15))
    folder = bench.fresh(case)
    process = start(folder, "load", case.url)
    await_moment(process, folder, moment)
    time.sleep(delay)
    return _killed(process, folder, case, programs)


def _killed(process: subprocess.Popen[str], folder: Path, case: Case, programs: bool) -> str:
    kill(process, folder)
    where = where_died(folder, case.url)
    if where == "before the archive":  # there is nothing to recover; a load makes one
        visit_here(folder, case.url)
    assert_sound(folder, case.expected, programs=programs)
    shutil.rmtree(folder)
    return f"{case.name}: {where}"


def kill_child(bench: Bench, chance: random.Random, programs: bool, big: float) -> str:
    """A child of the load dies; the load ends by itself, and tells the truth."""
    name = chance.choice(CHILDREN)
    code = hit_child(bench, chance, name, programs, big)
    return f"{name} was not seen" if code is None else f"{name}, load ended with {code}"


def hit_child(
    bench: Bench, chance: random.Random, name: str, programs: bool = False, big: float = 0.0
) -> int | None:
    """Kill a child of that name, at a random moment of its life; the exit code of the load if one was caught."""
    case = _some_case(bench, chance, 1.0 if name == "swhkit.digests" else big)
    folder, skipped = bench.fresh(case), chance.choice((0, 0, 0, 1, 2))
    process = start(folder, "load", "--json", case.url)
    caught = _hunt(process, name, skipped, chance.uniform(0, 0.01))
    code, out, err = end(process)
    left = unfinished(folder)
    assert not left, f"a load whose {name} died left {left}"
    assert code in (0, 1, 3), (code, out, err)
    assert not working_in(folder), working_in(folder)
    assert_sound(folder, case.expected, programs=programs)
    shutil.rmtree(folder)
    return code if caught else None


def _hunt(process: subprocess.Popen[str], name: str, skipped: int, delay: float) -> bool:
    """Kill the first child of that name, or one of the next, if there is one."""
    seen, wanted = set[int](), re.compile(rf"(^|[ /-]){re.escape(name)}( |$)")
    while process.poll() is None:
        for pid in descendants(process.pid):
            line = command_line(pid)
            if wanted.search(line) and "setpriv" not in line and pid not in seen:
                seen.add(pid)
                if len(seen) > skipped:
                    time.sleep(delay)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        return True
        time.sleep(0.0005)
    return False


def kill_upkeep(bench: Bench, chance: random.Random, programs: bool, big: float) -> str:
    """``maintain``, ``check --full`` or ``reindex`` dies at any moment."""
    case, command = bench.case(chance.choice(("first", "more")), chance.choice(KINDS)), chance.choice(UPKEEP)
    folder = bench.fresh(case)
    for url in (case.url, case.fork, case.url):
        visit_here(folder, url)
    expected = expected_of(folder, [case.url, case.fork])
    process = start(folder, *command)
    time.sleep(chance.uniform(0.2, 1.05) * _seconds_of(command[0], folder))
    kill(process, folder)
    assert_sound(folder, expected, programs=programs)
    assert end(start(folder, *command))[0] == 0, f"{command[0]} does not end well after it was killed"
    left = sorted(path.name for path in (folder / "tmp").iterdir())
    assert not left, f"{command[0]} leaves what the killed one left: {left}"
    assert_sound(folder, expected, programs=False)
    shutil.rmtree(folder)
    return f"{command[0]} {'after its end' if process.returncode == 0 else 'killed'}"


_durations: dict[str, float] = {}


def _seconds_of(command: str, folder: Path) -> float:
    """How long a command of upkeep takes, measured on a copy, once."""
    if command not in _durations:
        copy = Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-{command}")))
        begun = time.monotonic()
        end(start(copy, *next(each for each in UPKEEP if each[0] == command)))
        _durations[command] = time.monotonic() - begun
        shutil.rmtree(copy)
    return _durations[command]


def terminate(bench: Bench, chance: random.Random, programs: bool, big: float) -> str:
    """SIGTERM at any moment: it ends soon, the visit is ``failed`` (or was done), and nothing is left behind."""
    case = _some_case(bench, chance, big)
    folder = bench.fresh(case)
    process = start(folder, "load", case.url)
    if chance.random() < 0.5:
        await_moment(process, folder, chance.choice(("staged", "sealed", "publishing")))
        time.sleep(chance.uniform(0, 0.05))
    else:
        time.sleep(chance.uniform(0.3, 1.02) * case.moments["end"])
    asked = time.monotonic()
    process.terminate()
    code, out, err = end(process, 30)
    seconds = time.monotonic() - asked
    assert seconds <= 10, f"SIGTERM took {seconds:.1f} s"
    assert code in (TERMINATED, -signal.SIGTERM, 0), (code, out, err)
    assert not working_in(folder), working_in(folder)
    where = _after_term(folder, case, code)
    assert_sound(folder, case.expected, programs=programs)
    shutil.rmtree(folder)
    return f"{case.name}: exit code {code}, {where}"


def _after_term(folder: Path, case: Case, code: int) -> str:
    left = sorted(path.name for path in (folder / "tmp").iterdir())
    if code != -signal.SIGTERM:  # else the interpreter was still starting, or ending
        assert not left, f"temporary files stay: {left}"
    if not (folder / "archive" / "stage" / "visits").exists():
        visit_here(folder, case.url)
        return "before open"
    before = case.template / "archive" / "catalog.sqlite"
    with opened(folder) as target:
        latest = target.catalog.latest_visit(case.url)
    stays = unfinished(folder)
    assert not stays, f"SIGTERM left {stays}"
    if latest is None or (before.exists() and latest.number == 1):
        return "before open"
    if code == TERMINATED:
        assert latest.status in (VisitStatus.FAILED, VisitStatus.FULL), latest
    elif code == 0:
        assert latest.status is VisitStatus.FULL, latest
    return f"visit {latest.status.value}"


def stop(bench: Bench, chance: random.Random, programs: bool, big: float) -> str:
    """The load stands still for a while, as on a machine that swaps; the others go on or wait, and nobody fails."""
    case = _some_case(bench, chance, big)
    folder, clean = bench.fresh(case), bench.fresh(case)
    for url in (case.url, case.fork):
        visit_here(clean, url)
    expected = expected_of(clean, [case.url, case.fork])
    first = start(folder, "load", case.url)
    await_moment(first, folder, chance.choice(("staged", "sealed", "publishing")))
    time.sleep(chance.uniform(0, 0.03))
    where = _reached(folder)
    first.send_signal(signal.SIGSTOP)
    others = [first, *(start(folder, "load", url) for url in (case.url, case.fork))]
    # It goes on by itself: where it stands still while SQLite has the file for itself, even a server has to wait.
    woken = threading.Timer(chance.uniform(1, 4), first.send_signal, (signal.SIGCONT,))
    woken.start()
    try:
        time.sleep(chance.uniform(0, 1))
        checking = start(folder, "check")
        with serving(folder) as base:
            assert get(f"{base}/ping/") == "pong"
            get(f"{base}/stat/counters/")
            woken.join()
            for process in others:
                assert end(process)[0] == 0, "a load failed beside one that was stopped"
            get(f"{base}/stat/counters/")
        code, out, _ = end(checking)
        assert code == 0, out
    finally:
        woken.cancel()
        for process in (*others, checking):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    left = unfinished(folder)
    assert not left, left
    assert_sound(folder, expected, programs=programs)
    shutil.rmtree(folder)
    shutil.rmtree(clean)
    return f"{case.name}: stopped when {where}"


FAULTS: dict[str, Callable[[Bench, random.Random, bool, float], str]] = {
    "load": kill_load,
    "window": kill_in_window,
    "child": kill_child,
    "upkeep": kill_upkeep,
    "term": terminate,
    "stop": stop,
}


def one(fault: str, seed: int, bench: Bench, *, programs: bool = False, big: float = 0.0) -> str:
    """One run; returns where it hit. ``big``: the share of runs on 20,000 objects. Raises ``AssertionError``."""
    try:
        return f"{fault} {FAULTS[fault](bench, random.Random(seed), programs, big)}"
    except Exception as error:
        raise AssertionError(
            f"python -m tests.faults.kill --fault {fault} --only {seed} --big {big}: {error}"
        ) from error


@contextlib.contextmanager
def a_bench(root: Path | None = None) -> Iterator[Bench]:
    """A bench in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="kill-", dir=root) as folder:
        yield Bench(Path(folder))


def main() -> int:
    """The tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one run, with this very seed")
    parser.add_argument("--fault", default=",".join(FAULTS))
    parser.add_argument("--big", type=float, default=0.1, help="share of runs on 20,000 objects")
    parser.add_argument("--programs", action="store_true", help="check, serve and load again as programs")
    parser.add_argument("--folder", type=Path, help="where stores are made; those of failed runs stay")
    given = parser.parse_args()
    if given.only is not None:
        given.runs = 1
    hits, failures = Counter[str](), 0
    with a_bench(given.folder) as bench:
        try:
            for fault, seed in _plan(given):
                try:
                    hits[one(fault, seed, bench, programs=given.programs, big=given.big)] += 1
                except AssertionError:
                    failures += 1
                    traceback.print_exc()
        except KeyboardInterrupt:  # what was found by then is told
            print("interrupted", file=sys.stderr)
        for what, count in sorted(hits.items()):
            print(f"{count:5}  {what}")
        for fault, count in sorted(Counter(what.split()[0] for what in hits.elements()).items()):
            print(f"{count:5}  runs of {fault}")
        print(f"{sum(hits.values()) + failures} runs, {failures} failures")
        if failures and given.folder:
            shutil.copytree(bench.root, f"{bench.root}-failed", symlinks=True)
    return 1 if failures else 0


def _plan(given: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Fault and seed of each run."""
    seeds, faults = random.Random(given.seed), given.fault.split(",")
    for number in range(given.runs):
        yield faults[number % len(faults)], given.only if given.only is not None else seeds.getrandbits(32)


if __name__ == "__main__":
    sys.exit(main())
