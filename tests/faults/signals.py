"""A signal at any moment: whatever the load was doing, its visit ends as ``failed`` or was done, and nothing stays.

Python runs a signal's handler after a call, at a jump back, or when a function begins. A load without faults is traced
to learn all places of ours where that happens; then, for each place, a load gets an interruption there, in the
process that goes on living: a lock that was left taken would be seen. Runnable alone, from the project's root::

    python -m tests.faults.signals --runs 300 --seed 7
    python -m tests.faults.signals                        each place once
"""

from __future__ import annotations

import argparse
import dis
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.common import KINDS as STORES
from faults.common import assert_sound, opened, unfinished, visit_here
from faults.nth import SCENARIOS, Case, cases, differences, dump

from swhkit.interrupts import INTERRUPTS, Cancelled, ask
from swhkit.model import VisitStatus

#: After which instructions a handler may run.
_AFTER = {
    dis.opmap[name] for name in ("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME") if name in dis.opmap
}
_ROOT = Path(__file__).resolve().parents[2]
_OURS = tuple(f"{_ROOT / name}/" for name in ("swhkit", "plugins", "backends"))
#: Where a signal is not of the visit: it comes before it, or is what this is about.
_NOT = ("interrupts.py",)

#: File, function and line.
Place = tuple[str, str, int]


@cache
def _instructions(code: CodeType) -> bytes:
    return code.co_code


class Tracer:
    """Counts the moments of this thread at which a handler may run; at one of them, it does."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.count, self.hit = at, 0, ""
        self.places: dict[Place, list[int]] = {}

    @contextmanager
    def on(self) -> Iterator[None]:
        """Trace what is called in the block."""
        assert threading.current_thread() is threading.main_thread()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        name = frame.f_code.co_filename
        if not (name.startswith(_OURS) or name.endswith("/contextlib.py")) or name.endswith(_NOT):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        previous = [-1]

        def step(frame: FrameType, event: str, _arg: Any) -> Any:
            if event == "opcode":
                before, previous[0] = previous[0], _instructions(frame.f_code)[frame.f_lasti]
                if before in _AFTER:
                    self._moment(frame)
            return step

        return step

    def _moment(self, frame: FrameType) -> None:
        self.count += 1
        if self.at == 0:
            place = (frame.f_code.co_filename, frame.f_code.co_qualname, frame.f_lineno or 0)
            self.places.setdefault(place, []).append(self.count)
        elif self.count == self.at:
            self.hit = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"
            ask(Cancelled)


def places(case: Case, folder: Path) -> dict[Place, list[int]]:
    """Where a load without faults may be interrupted, and the moments at which it is there."""
    store, tracer = Path(shutil.copytree(case.store, folder / "traced")), Tracer()
    with tracer.on():
        report = visit_here(store, case.url)
    assert report.status == "full", report
    shutil.rmtree(store)
    return tracer.places


def disturb(case: Case, moment: int, folder: Path) -> str:
    """Interrupt a load at a moment; returns where that was. Raises ``AssertionError`` if a promise is broken."""
    store = folder / f"{case.scenario}-{moment}"
    shutil.copytree(case.store, store)
    tracer = Tracer(moment)
    try:
        _judge(case, store, _interrupted(case, store, tracer))
    except Exception as error:
        at = f"{case.scenario} load, interrupted at moment {moment}, {tracer.hit}"
        raise AssertionError(f"{at}: {type(error).__name__}: {error} [store: {store}]") from error
    shutil.rmtree(store)
    return tracer.hit


def _interrupted(case: Case, store: Path, tracer: Tracer) -> bool:
    """Load; whether the load raised what interrupted it, which took no longer than it may."""
    asked = time.monotonic()
    try:
        with tracer.on():
            visit_here(store, case.url)
    except INTERRUPTS:
        assert tracer.hit, "interrupted by nobody"
        assert time.monotonic() - asked < 30, "it took too long"
        return True
    return False


def _judge(case: Case, store: Path, raised: bool) -> None:
    if not (store / "archive" / "stage" / "visits").exists():  # it had not begun
        visit_here(store, case.url)
    with opened(store) as target:
        latest = target.catalog.latest_visit(case.url)
        held = [made for made in target.catalog.visits(case.url) if made.status is VisitStatus.FULL]
    left = unfinished(store)
    assert not left, f"left behind: {left}"
    if not raised:
        assert latest is not None
        assert latest.status is VisitStatus.FULL, latest
    now = dump(store)
    was = (
        case.after if len(held) > len([row for row in case.before["visit"] if "full" in row]) else case.before
    )
    different = [name for name in now if now[name] != was[name]]
    # what a publish had adopted by then is held, and counted
    kept = {"content", "person", "object", "counter", "extid", "metadata", "extrinsic"} if raised else set()
    assert set(different) <= kept, f"unlike before or after: {differences(now, was)}"
    assert_sound(store, case.expected, programs=False)
    again = dump(store)
    for name in set(again) - {"visit", "history"}:
        assert again[name] == case.after[name], f"after another load {name} is not that of a clean one"


def moments(case: Case, folder: Path, chance: random.Random, runs: int | None) -> list[int]:
    """A moment at each of ``runs`` places, drawn from all (without it: at each place)."""
    known = places(case, folder)
    chosen = sorted(known) if runs is None else chance.sample(sorted(known), min(runs, len(known)))
    return [chance.choice(known[place]) for place in chosen]


def main() -> int:
    """The tool."""
    parser = argparse.ArgumentParser(description="Interrupt a load at any moment.")
    parser.add_argument("--runs", type=int, help="how many places, of each load; all without it")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--store", choices=STORES, default=STORES[0], help="what keeps the objects")
    parser.add_argument("--at", type=int, nargs="*", help="these moments only")
    options = parser.parse_args()
    folder, failed = Path(tempfile.mkdtemp(prefix="faults-signals-")), 0
    for scenario, case in cases(folder, options.store).items():
        if scenario not in options.scenarios:
            continue
        chance, start = random.Random(f"{options.seed} {scenario}"), time.monotonic()
        wanted = options.at or moments(case, folder, chance, options.runs)
        for done, moment in enumerate(wanted, 1):
            try:
                disturb(case, moment, folder)
            except AssertionError as error:
                failed += 1
                print(error, flush=True)
            if done % 50 == 0:
                print(f"{scenario}: {done} of {len(wanted)}", file=sys.stderr, flush=True)
        spent = time.monotonic() - start
        print(f"{options.store} {scenario}: {len(wanted)} places, {spent:.0f} s", flush=True)
    print(f"seed {options.seed}: {failed} problems{f' in {folder}' if failed else ''}")
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
