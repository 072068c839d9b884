"""Damage on disk: bytes that change, files cut short, emptied, lost or exchanged, one at a time, by a seed.

After each the store is read, served and checked in a process of its own with a time limit. What is asked: every answer
is right or an error, the full check finds what was done and names it, and loading the origins again heals what they hold.

From the project's root: ``python -m tests.faults.flips --target pack --runs 100 --seed 7`` (``--help`` lists targets).
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
for _folder in (TESTS, TESTS.parent, TESTS.parent / "plugins", TESTS.parent / "backends"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from faults.flip_look import Look, heal, in_child, look  # noqa: E402
from faults.flip_store import OBJECTS, Master, dump, make_master, opened, pages, settle  # noqa: E402
from generate import repository  # noqa: E402
from upkeep import load  # noqa: E402

from swhkit import manifest, visit  # noqa: E402
from swhkit.archive import Archive  # noqa: E402
from swhkit.check import check  # noqa: E402
from swhkit.model import (  # noqa: E402
    Snapshot,
)
from swhkit.publish import recover  # noqa: E402

FILES = ("flip", "truncate", "zero", "delete", "append", "swap")
PAGES = ("flip", "flip", "flip", "zero")


# -- damage ----------------------------------------------------------------------------------------------------------


def damage(file: Path, how: str, chance: random.Random, other: Path | None = None, start: int = 0) -> str:
    """Do one thing to a file (below offset ``start`` nothing is touched); says what."""
    file.chmod(0o600)
    size = file.stat().st_size
    if how == "delete":
        file.unlink()
        return f"{file.name} deleted"
    if how == "swap" and other is not None:
        aside = file.with_name("aside")
        file.rename(aside)
        other.rename(file)
        aside.rename(other)
        return f"{file.name} and {other.name} exchanged"
    data = bytearray(file.read_bytes())
    if how == "append" or how == "swap":
        data.append(chance.randrange(256))
        said = f"a byte appended to {file.name}"
    elif how == "truncate":
        length = chance.randrange(size)
        del data[length:]
        said = f"{file.name} cut to {length} of {size} bytes"
    elif how == "zero":
        at = chance.randrange(start, size) // 4096 * 4096
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
        said = f"{file.name} zero from {at}"
    else:
        at = chance.randrange(start, size)
        data[at] ^= 0xFF
        said = f"byte {at} of {file.name} flipped"
    file.write_bytes(data)
    return said


def damage_page(file: Path, table: str, how: str, chance: random.Random) -> str:
    """Flip a byte in a page of a table or index, or fill the page with zeros."""
    page = chance.choice(pages(file)[table])
    data = bytearray(file.read_bytes())
    if how == "zero":
        data[(page - 1) * 4096 : page * 4096] = bytes(4096)
        at = (page - 1) * 4096
    else:
        used = [n for n in range((page - 1) * 4096, page * 4096) if data[n]] or [(page - 1) * 4096]
        at = chance.choice(used)
        data[at] ^= 0xFF if chance.random() < 0.5 else 1 << chance.randrange(8)
    file.write_bytes(data)
    return f"{how} at {at} (page {page}, of {table})"


# -- trials ----------------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """One thing done, what was seen, and what was left after healing (None: not tried)."""

    said: str
    seen: Look
    left: list[dict[str, Any]] | None = None
    unseen: bool = False
    #: The objects that are really there; a damaged id is nobody's.
    known: frozenset[str] = frozenset()


def targets(master: Master) -> list[str]:
    """What can be damaged: kinds of files, and ``catalog:TABLE`` or ``objects:TABLE`` for each table and index."""
    files = ["objects"] if (master.folder / OBJECTS).exists() else ["pack", "idx", "midx"]
    tables = [
        f"{file.stem}:{name}"
        for file in sorted(master.folder.glob("*.sqlite"))
        for name in sorted(pages(file))
    ]
    return [*files, "catalog", *tables]


def trial(master: Master, scratch: Path, target: str, seed: int, *, mend: bool = True) -> Trial:
    """Damage a copy of the store and look at it. The same seed does the same thing."""
    chance = random.Random(f"{target} {seed}")
    place = scratch / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(master.folder, place)
    said = f"[{target} {seed}] {_do(place, target, chance, seed)}"
    try:
        seen = look(master, place)
    except AssertionError as error:
        raise AssertionError(f"{said}: {error}") from None
    done = Trial(said, seen, known=frozenset(map(str, master.objects)))
    if not seen.full and not seen.unopened:
        settle(place)
        done.unseen = dump(place / "catalog.sqlite") == master.rows and _bodies(place) == _bodies(
            master.folder
        )
    elif mend and not seen.unopened:
        try:
            done.left = heal(master, place, seen)
        except AssertionError as error:
            raise AssertionError(f"{said}: healing: {error}") from None
    return done


def _bodies(place: Path) -> dict[str, Any]:
    """The rows of objects in SQLite; nothing where they are packs, which leave nothing unseen."""
    return dump(place / OBJECTS) if (place / OBJECTS).exists() else {}


def _do(place: Path, target: str, chance: random.Random, seed: int) -> str:
    kind, _, table = target.partition(":")
    if kind in ("catalog", "objects"):
        file = place / f"{kind}.sqlite"
        if table:
            return damage_page(file, table, PAGES[seed % len(PAGES)], chance)
        return damage(file, FILES[seed % (len(FILES) - 1)], chance)
    folder = place / "objects" / "objects" / "pack"
    if target == "midx":
        return damage(folder / "multi-pack-index", FILES[seed % (len(FILES) - 1)], chance)
    files = sorted(folder.glob(f"*.{target}"))
    chance.shuffle(files)
    return damage(files[0], FILES[seed % len(FILES)], chance, files[1])


def complaints(done: Trial) -> list[str]:
    """What a trial shows that must not be."""
    seen, target = done.seen, done.said.partition(" ")[0].strip("[")
    found = [f"wrong: {one}" for one in seen.wrong] + [f"foreign: {one}" for one in seen.foreign]
    if seen.unopened:
        return [f"{done.said}: {one}" for one in found]
    if target in ("pack", "idx", "midx"):
        found += [f"said to be absent: {one}" for one in seen.absent]
    if not seen.full and not done.unseen:
        found.append("not found by the full check")
    if target in ("pack", "idx", "midx") and not seen.quick and "multi-pack-index deleted" not in done.said:
        found.append("not found by the quick check")
    found += [f"no next step: {one}" for one in seen.full if not one["next_step"]]
    found += [f"names neither object nor file: {one}" for one in seen.full if not _is_named(one)]
    files = not target.startswith("catalog")
    found += [
        f"names no origin: {one}"
        for one in seen.full
        if files and one["object"] in done.known and not one["origins"]
    ]
    if (
        done.left and files and not (target.startswith("objects") and seen.quick)
    ):  # SQLite's structure: a copy is needed
        found.append(f"not healed: {done.left[:3]}")
    return [f"{done.said}: {one}" for one in found]


def _is_named(finding: dict[str, Any]) -> bool:
    """Whether a finding says what it is about; a counter is named in words."""
    return bool(finding["object"] or finding["file"] or "counter" in finding["problem"])


# -- a sealed stage --------------------------------------------------------------------------------------------------

SEALED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from archives import archive, shell
from upkeep import load
from swhkit import visit
visit.publish = lambda *_a, **_k: os.kill(os.getpid(), signal.SIGKILL)
with archive("filesystem", Path({folder!r})) as target:
    load(target, {url!r})
"""


def make_sealed(folder: Path) -> Master:
    """A store whose only visit was sealed when its process was killed."""
    url = f"file://{repository(folder / 'one.git', 4, seed=8, branches=1)}"
    place = folder / "archive"
    script = SEALED.format(paths=sys.path, folder=str(place), url=url)
    died = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    return Master(place, [url])


def stage_trial(master: Master, scratch: Path, seed: int) -> str:
    """Damage one file of the stage: recovery publishes the visit as it was, or ends it as failed. Says what it did."""
    chance = random.Random(f"stage {seed}")
    place = scratch / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(master.folder, place)
    (stage,) = (place / "stage" / "visits").iterdir()
    files = sorted(
        p for p in stage.rglob("*") if p.is_file() and p.stat().st_size and _matters(p.relative_to(stage))
    )
    chance.shuffle(files)
    said = f"[stage {seed}] {damage(files[0], FILES[seed % len(FILES)], chance, files[1])}"
    try:
        in_child(lambda: _recovered(master, place))
    except AssertionError as error:
        raise AssertionError(f"{said}: {error}") from None
    return said


def _matters(path: Path) -> bool:
    return path.parts[0] not in ("home", "scratch", "lock") and (
        path.suffix in (".pack", ".idx") or len(path.parts) == 1
    )


def _recovered(master: Master, place: Path) -> str:
    (url,) = master.urls
    with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
        recover(target)
        assert target.catalog.unfinished_visits() == []
        assert list((place / "stage" / "visits").iterdir()) == []
        (ended,) = target.catalog.visits(url)
        assert ended.status in ("full", "failed"), ended
        assert ended.status == "full" or ended.reason, ended
        assert check(target, Path(scratch), full=True).problems == []
        again = load(target, url)
        assert again.status == "full", again
        assert ended.snapshot in (None, manifest.object_id(_of(target, again)).digest), (
            "another snapshot was published"
        )
        assert check(target, Path(scratch), full=True).problems == []
        return str(ended.status)


def _of(target: Archive, report: visit.Report) -> Snapshot:
    found = target.catalog.latest_visit(report.origin, require_snapshot=True)
    assert found is not None
    assert found.snapshot is not None
    snapshot = target.catalog.snapshot(found.snapshot)
    assert snapshot is not None
    return snapshot


def main() -> int:
    """Run trials and print a line for each that shows something, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument(
        "--target",
        default="pack",
        help="pack, idx, midx, stage, catalog, catalog:TABLE, catalog:all; objects, objects:TABLE, objects:all (SQLite)",
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-heal", action="store_true")
    asked = parser.parse_args()
    figures: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="flips-") as name:
        folder = Path(name)
        if asked.target == "stage":
            sealed = make_sealed(folder)
            for seed in range(asked.seed, asked.seed + asked.runs):
                try:
                    print(stage_trial(sealed, folder, seed))
                except AssertionError as error:
                    figures["complaints"] += 1
                    print(f"COMPLAINT {error}")
            print(dict(figures))
            return int(bool(figures["complaints"]))
        kind, _, table = asked.target.partition(":")
        master = make_master(folder, "sqlite" if kind == "objects" else "filesystem")
        every = [target for target in targets(master) if target.startswith(f"{kind}:")]
        for name in every if table == "all" else [asked.target]:
            for seed in range(asked.seed, asked.seed + asked.runs):
                _one(master, folder, name, seed, figures, mend=not asked.no_heal)
        print(dict(figures))
    return int(bool(figures["complaints"]))


def _one(master: Master, folder: Path, target: str, seed: int, figures: Counter[str], *, mend: bool) -> None:
    figures["runs"] += 1
    try:
        done = trial(master, folder, target, seed, mend=mend)
    except AssertionError as error:
        figures["complaints"] += 1
        print(f"COMPLAINT {error}", flush=True)
        return
    figures["found"] += bool(done.seen.full)
    figures["not to be opened"] += bool(done.seen.unopened)
    figures["nothing to see"] += done.unseen
    figures["quick"] += bool(done.seen.quick)
    figures["absent"] += len(done.seen.absent)
    figures["healed"] += done.left == []
    if done.left:
        figures["left"] += 1
        print(
            f"LEFT {done.said}: {[(p['problem'], p['object'], p['file']) for p in done.left[:2]]}", flush=True
        )
    for one in complaints(done):
        figures["complaints"] += 1
        print(f"COMPLAINT {one}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
