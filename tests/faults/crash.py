"""Power loss: every state that a disk may be left in while a load runs must be one that swhkit recovers from.

``shim.c`` logs what a load does to its files, in order. ``Disk`` plays such a log back and knows what is safe: the bytes
of a file are those of its last fsync, the names in a folder those of the folder's last fsync. What came later is lost,
or there, or (of names: each by itself; of bytes: each write by itself) partly there. Such states are made real and
given to swhkit. Runnable alone, from the project's root::

    python -m tests.faults.crash --states 200 --seed 7
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.common import assert_sound, opened
from faults.inject import Injector
from faults.nth import SCENARIOS, Case, cases, differences, dump
from faults.shim import Call, read_log

from swhkit.publish import recover

#: What becomes of what was not synced: all is lost; all is there (as after SIGKILL); each thing as chance has it; bytes
#: are lost and names are there; the other way round.
MODES = ("lost", "there", "chance", "names", "bytes")
#: What SQLite makes anew, and never syncs.
_VOLATILE = "-shm"
#: What a disk has: path → bytes, target of a link, or None (a folder).
State = dict[str, bytes | str | None]


@dataclass(eq=False)
class Inode:
    """A file or folder: what is safe of it, and what has happened to it since it was last synced."""

    folder: bool = False
    target: str | None = None
    data: bytes = b""
    names: dict[str, Inode] = field(default_factory=dict)
    writes: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, bytes), or (size, None)
    moves: list[Move] = field(default_factory=list)

    def sync(self) -> None:
        """All that has happened is safe from here on."""
        self.data, self.names = self.bytes_with(self.writes), self.names_with(self.moves)
        self.writes, self.moves = [], []

    def bytes_with(self, writes: Sequence[tuple[int, bytes | None]]) -> bytes:
        """The bytes if these writes have arrived."""
        data = bytearray(self.data)
        for place, written in writes:
            if written is None:
                data = data[:place].ljust(place, b"\0")
            else:
                data = data.ljust(place, b"\0")
                data[place : place + len(written)] = written
        return bytes(data)

    def names_with(self, moves: Sequence[Move]) -> dict[str, Inode]:
        """The names if these changes have arrived."""
        names = dict(self.names)
        for move in moves:
            move.apply(self, names)
        return names


@dataclass(frozen=True, eq=False)
class Move:
    """A change of names that is there wholly or not at all; a rename is one change of two folders.

    ``steps``: (folder, name, what the name leads to from then on; None: nothing).
    """

    steps: tuple[tuple[Inode, str, Inode | None], ...]

    def apply(self, folder: Inode, names: dict[str, Inode]) -> None:
        """Do the part that concerns one folder."""
        for where, name, inode in self.steps:
            if where is folder:
                if inode is None:
                    names.pop(name, None)
                else:
                    names[name] = inode


class Disk:
    """A folder as calls have left it, with what of it is safe."""

    def __init__(self, folder: Path) -> None:
        self.place, self.root = PurePosixPath(folder.resolve()), Inode(folder=True)
        self._by_number: dict[int, Inode] = {}
        self._read(folder, self.root)

    def _read(self, folder: Path, inode: Inode) -> None:
        """Take over what is there, all of it safe."""
        self._by_number[folder.stat().st_ino] = inode
        for path in folder.iterdir():
            number = path.lstat().st_ino
            child = self._by_number.get(number)
            if child is None:
                child = self._by_number[number] = Inode(folder=path.is_dir() and not path.is_symlink())
                if path.is_symlink():
                    child.target = os.readlink(path)  # noqa: PTH115 (the text, not a path)
                elif child.folder:
                    self._read(path, child)
                else:
                    child.data = path.read_bytes()
            inode.names[path.name] = child

    def play(self, call: Call) -> None:
        """One more call."""
        match call.op:
            case "open" | "mkdir" | "symlink":
                if call.created:
                    self._by_number[call.inode] = made = Inode(folder=call.op == "mkdir")
                    made.target = call.other if call.op == "symlink" else None
                    self._move((call.path, made))
                elif call.size == 0:
                    self._by_number[call.inode].writes.append((0, None))
            case "write":
                self._by_number[call.inode].writes.append((call.offset, call.data))
            case "truncate":
                self._by_number[call.inode].writes.append((call.size, None))
            case "sync":
                self._by_number[call.inode].sync()
            case "rename":
                moved = self.now(call.path)
                assert moved is not None, f"{call.path} is renamed and was never made"
                if moved is not self.now(call.other):
                    self._move((call.other, moved), (call.path, None))
            case "link":
                self._move((call.other, self._by_number[call.inode]))
            case "unlink" | "rmdir":
                self._move((call.path, None))

    def _move(self, *steps: tuple[str, Inode | None]) -> None:
        found = []
        for path, inode in steps:
            folder = self.now(str(PurePosixPath(path).parent))
            assert folder is not None, f"the folder of {path} was never made"
            found.append((folder, PurePosixPath(path).name, inode))
        move = Move(tuple(found))
        for folder in {id(folder): folder for folder, _, _ in found}.values():
            folder.moves.append(move)

    def now(self, path: str) -> Inode | None:
        """What a path leads to for the programs that run, None if nothing."""
        inode: Inode | None = self.root
        for part in PurePosixPath(path).relative_to(self.place).parts:
            inode = inode.names_with(inode.moves).get(part) if inode is not None else None
        return inode

    def unsafe(self, path: str) -> list[str]:
        """What of a file would not survive: its bytes, and each name on the way to it."""
        inode, found = self.root, []
        for part in PurePosixPath(path).relative_to(self.place).parts:
            now = inode.names_with(inode.moves)[part]
            if inode.names.get(part) is not now:
                found.append(f"the name {part}")
            inode = now
        return [*found, *(["its bytes"] if inode.writes else [])]

    def state(self, mode: str, chance: random.Random) -> State:
        """What the disk has after a loss of power."""
        lost: dict[int, bool] = {}

        def survives(move: Move) -> bool:
            if mode == "chance":
                return lost.setdefault(id(move), chance.random() < 0.5)
            return mode in ("there", "names")

        def arrived(inode: Inode) -> bytes:
            if mode == "chance":
                return inode.bytes_with([torn(write) for write in inode.writes if chance.random() < 0.5])
            return inode.bytes_with(inode.writes if mode in ("there", "bytes") else ())

        def torn(write: tuple[int, bytes | None]) -> tuple[int, bytes | None]:
            place, data = write
            return (place, data[: len(data) // 2]) if data and chance.random() < 0.1 else write

        def walk(inode: Inode, path: str, above: frozenset[int]) -> Iterator[tuple[str, bytes | str | None]]:
            for name, child in sorted(inode.names_with([m for m in inode.moves if survives(m)]).items()):
                if name.endswith(_VOLATILE) or id(child) in above:
                    continue
                if not child.folder:
                    yield f"{path}{name}", child.target if child.target is not None else arrived(child)
                    continue
                yield f"{path}{name}", None
                yield from walk(child, f"{path}{name}/", above | {id(child)})

        return dict(walk(self.root, "", frozenset({id(self.root)})))


def seen(folder: Path) -> State:
    """What a folder has, without what SQLite never syncs."""
    return {
        str(path.relative_to(folder)): os.readlink(path)  # noqa: PTH115 (the text, not a path)
        if path.is_symlink()
        else None
        if path.is_dir()
        else path.read_bytes()
        for path in folder.rglob("*")
        if not path.name.endswith(_VOLATILE)
    }


def make_real(state: State, folder: Path) -> None:
    """Write a state down as files and folders."""
    folder.mkdir(parents=True)
    for name, what in state.items():
        path = folder / name
        if what is None:
            path.mkdir()
        elif isinstance(what, str):
            path.symlink_to(what)
        else:
            path.write_bytes(what)


@dataclass(frozen=True)
class Recorded:
    """A load and all that it did to the files of ``store``: ``before`` is the disk at its start, ``after`` what was
    really there at its end."""

    case: Case
    store: Path
    before: Disk
    calls: list[Call]
    after: State

    def disk(self) -> Disk:
        """The disk at the start, to play the calls on."""
        return copy.deepcopy(self.before)

    def first(self, op: str, part: str) -> int:
        """The number of the first call of this kind on a path (for a rename: the new one) that has ``part`` in it."""
        return next(
            number for number, call in enumerate(self.calls)
            if call.op == op and part in (call.other if op == "rename" else call.path)
        )  # fmt: skip


def record(injector: Injector, case: Case, folder: Path) -> Recorded:
    """Load once in a copy of the case's store, undisturbed, and keep what was done."""
    store = folder / f"recorded-{case.scenario}"
    shutil.copytree(case.store, store)
    before = Disk(store)
    arguments = ("load", "--json", "--type", "git", case.url)
    ended = injector.run(*arguments, cwd=store, root=store, logging=True)
    assert ended.code == 0, ended
    return Recorded(case, store, before, list(read_log(injector.log)), seen(store))


def too_early(recorded: Recorded, calls: Sequence[Call]) -> Iterator[str]:
    """What was claimed before it was safe: in the catalog before the store's packs were, by beginning to publish before
    the stage was, and by giving up the stage before the catalog was."""
    disk = recorded.disk()
    archive = str(recorded.store.resolve() / "archive")
    packs, log = f"{archive}/objects/objects/pack", f"{archive}/catalog.sqlite-wal"
    for number, call in enumerate(calls):
        if call.op == "write" and call.path == log:
            yield from _unsafe(disk, packs, (".pack", ".idx"), f"call {number}, a write to the catalog")
        elif call.op == "open" and "/stage/.publishing." in call.path:
            for visit in _names(disk, f"{archive}/stage/visits"):
                stage = f"{archive}/stage/visits/{visit}"
                at = f"call {number}, publishing begins"
                yield from _unsafe(disk, f"{stage}/git/objects/pack", (".pack", ".idx"), at)
                yield from _unsafe(disk, stage, ("sealed", "inventory", "log-persons", "log-contents-0"), at)
        elif call.op == "rename" and call.other.endswith(".trash"):
            yield from _unsafe(disk, archive, ("catalog.sqlite", "-wal"), f"call {number}, the stage goes")
        disk.play(call)


def _names(disk: Disk, folder: str) -> list[str]:
    inode = disk.now(folder)
    return [] if inode is None else sorted(inode.names_with(inode.moves))


def _unsafe(disk: Disk, folder: str, endings: tuple[str, ...], when: str) -> Iterator[str]:
    for name in _names(disk, folder):
        if name.endswith(endings) and (lacking := disk.unsafe(f"{folder}/{name}")):
            yield f"{when}: not safe of {folder}/{name} are {', '.join(lacking)}"


def states(recorded: Recorded, count: int, seed: int) -> Iterator[tuple[int, str, State]]:
    """``count`` different states after losses of power: calls that were made, mode, state. And those of the end."""
    chance = random.Random(f"{seed} {recorded.case.scenario}")
    total = len(recorded.calls)
    seen: set[bytes] = set()
    disk, done = recorded.disk(), 0
    wanted = [(chance.randrange(total + 1), chance.choice(MODES)) for _ in range(10 * count)]
    # publishing is a small part of the calls and all that matters: half of the states are from there
    seal = recorded.first("rename", "/sealed")
    wanted += [(chance.randrange(seal - 20, total + 1), chance.choice(MODES)) for _ in range(10 * count)]
    chance.shuffle(wanted)
    found = []
    for number, mode in sorted(wanted[: 4 * count]):
        while done < number:
            disk.play(recorded.calls[done])
            done += 1
        state = disk.state(mode, chance)
        key = hashlib.sha256(repr(sorted(state.items())).encode()).digest()
        if key not in seen:
            seen.add(key)
            found.append((number, mode, state))
    chosen = sorted(chance.sample(range(len(found)), min(count, len(found))))
    yield from (found[index] for index in chosen)
    while done < total:
        disk.play(recorded.calls[done])
        done += 1
    yield from ((total, mode, disk.state(mode, chance)) for mode in MODES)


def judge(recorded: Recorded, number: int, mode: str, state: State) -> None:
    """Make a state real and let swhkit go on from it; raises ``AssertionError`` if a promise is broken."""
    case, store = recorded.case, recorded.store
    shutil.rmtree(store)
    make_real(state, store)
    try:
        with opened(store) as target:
            recover(target)
            assert not target.catalog.unfinished_visits(), "a visit stays unfinished"
        now = dump(store)
        if number > recorded.first("open", "/stage/.publishing."):
            assert now == case.after, f"what was sealed is lost: {differences(now, case.after)}"
        assert now in (case.before, case.after), f"between: unlike after {differences(now, case.after)}"
        git = store / "archive" / "objects"
        assert "preciousObjects" in (git / "config").read_text(), (
            "git may drop objects: the store's config is lost"
        )
        assert (git / "HEAD").read_text().startswith("ref: "), "the store is no git directory any more"
        assert_sound(store, case.expected, programs=False)
        again = dump(store)
        for name in set(again) - {"visit", "history"}:
            assert again[name] == case.after[name], f"after another load {name} is not that of a clean one"
    except Exception as error:
        at = f"{case.scenario} load, power lost after call {number} of {len(recorded.calls)}, mode {mode!r}"
        raise AssertionError(f"{at}: {type(error).__name__}: {error} [store: {store}]") from error


def main() -> int:
    """The tool."""
    parser = argparse.ArgumentParser(description="Lose power at any moment of a load.")
    parser.add_argument("--states", type=int, default=200, help="how many states, of each load")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--scenarios", nargs="*", choices=SCENARIOS, default=SCENARIOS)
    options = parser.parse_args()
    folder, failed = Path(tempfile.mkdtemp(prefix="faults-crash-")), 0
    known = cases(folder)
    with Injector(folder / "injector") as injector:
        for scenario in options.scenarios:
            recorded, start, done = record(injector, known[scenario], folder), time.monotonic(), 0
            for number, mode, state in states(recorded, options.states, options.seed):
                done += 1
                try:
                    judge(recorded, number, mode, state)
                except AssertionError as error:
                    failed += 1
                    print(error, flush=True)
                    shutil.copytree(
                        recorded.store, folder / f"failed-{scenario}-{number}-{mode}", symlinks=True
                    )
            print(f"{scenario}: {done} states, {time.monotonic() - start:.0f} s", flush=True)
    print(f"seed {options.seed}: {failed} problems{f' in {folder}' if failed else ''}")
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
