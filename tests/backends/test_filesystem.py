"""The filesystem store: the contract of all durable stores, and its folder: made whole, and safe from git itself."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest
from packed_stores import damage_object, files, leftovers, make_packs, open_at, pack_folder, related

from swhkit.errors import InvalidInput, NotHeld
from swhkit.files import FileLock
from swhkit.model import File
from swhkit.storage import GitDirectory, Scrubbed
from swhkit.testing import samples
from swhkit.testing.object_files import DurableObjectStoreContract, Opener
from swhkit.testing.object_stores import Damage


class TestFilesystemStore(DurableObjectStoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        place = tmp_path / "place"
        place.mkdir(exist_ok=True)
        return place

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        return partial(open_at, tmp_path / "place" / "objects")

    @pytest.fixture
    def damage(self) -> Damage:
        return damage_object


def git(store: GitDirectory, *args: str) -> subprocess.CompletedProcess[str]:
    """git as somebody runs it by hand."""
    argv = ["git", "-c", "safe.directory=*", "--git-dir", str(store.git_dir), *args]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_it_is_a_git_directory_that_git_can_read(tmp_path: Path) -> None:
    store = open_at(tmp_path / "o", True)
    assert isinstance(store, GitDirectory)
    assert store.git_dir == tmp_path / "o"
    one = samples.contents(1)[0]
    store.add([one.pair])
    assert git(store, "cat-file", "blob", one.id.hex).stdout.encode() == one.body
    assert git(store, "fsck", "--full").returncode == 0
    store.close()


@pytest.mark.parametrize(
    "command",
    [
        ("gc", "--prune=now", "--aggressive"),
        ("repack", "-a", "-d"),
        ("prune", "--expire=now"),
        ("gc", "--prune=all"),
    ],
)
def test_git_run_by_hand_drops_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    store = open_at(tmp_path / "o", True)
    store.adopt(make_packs(tmp_path / "packs", samples.graph(), related(20)))
    git(store, *command)  # it may refuse
    held = dict([*samples.graph(), *related(20)])
    assert store.read(held) == held
    again = open_at(tmp_path / "o")
    assert again.read(held) == held
    again.close()
    store.close()


def test_it_never_exists_without_the_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    rename = os.rename

    def watch(source: Path, target: Path) -> None:
        seen.append(
            (
                not Path(target).exists(),
                "preciousobjects = true" in (Path(source) / "config").read_text().lower(),
            )
        )
        rename(source, target)

    monkeypatch.setattr("os.rename", watch)
    store = open_at(tmp_path / "o", True)
    assert seen == [(True, True)]
    assert git(store, "config", "extensions.preciousObjects").stdout == "true\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o"]
    store.close()


def test_what_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotHeld, match=rf"{tmp_path}/none.*swhkit init"):
        open_at(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "repository")], check=True)
    (tmp_path / "empty").mkdir()
    for name in ("file", "repository"):
        for create in (True, False):
            with pytest.raises(InvalidInput, match=name):
                open_at(tmp_path / name, create)
    assert (tmp_path / "file").read_text() == "x"
    open_at(tmp_path / "empty", True).close()
    open_at(tmp_path / "empty").close()


def test_many_may_make_it_at_once(tmp_path: Path) -> None:
    stores = samples.together(6, lambda n: open_at(tmp_path / "deep" / "o", True))
    one = samples.contents(1)[0]
    stores[0].add([one.pair])
    assert [store.missing([one.id]) for store in stores] == [set()] * 6
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["o"]
    for store in stores:
        store.close()


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    store = open_at(tmp_path / "o", True)
    tmp = tmp_path / "o" / "swhkit" / "tmp"
    for name in ("dead", "alive"):
        (tmp / name).mkdir()
        (tmp / name / "new.pack.tmp").write_bytes(b"half")
    lock = FileLock(tmp / "alive.lock")
    lock.acquire()
    store.add([samples.contents(1)[0].pair])
    assert leftovers(store) == ["alive", "alive.lock"]
    lock.release()
    store.add([samples.contents(2)[1].pair])
    assert leftovers(store) == []
    store.close()


def test_closing_removes_the_home_of_the_children(tmp_path: Path) -> None:
    tmp = tmp_path / "o" / "swhkit" / "tmp"
    store, other = open_at(tmp_path / "o", True), open_at(tmp_path / "o")
    store.add(one.pair for one in samples.contents(3))
    assert len(list(tmp.iterdir())) == 4
    store.close()
    assert len(list(tmp.iterdir())) == 2
    del other
    assert list(tmp.iterdir()) == []


def test_a_store_that_cannot_be_written_to_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = samples.contents(1)[0]
    store = open_at(tmp_path / "o", True)
    store.add([one.pair])
    store.close()

    def read_only(*_: object, **__: object) -> int:
        raise OSError(30, "read-only file system")

    monkeypatch.setattr("swhkit.files.FileLock.try_acquire", read_only)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = open_at(tmp_path / "o")
    assert store.read([one.id]) == dict([one])
    assert store.scan() == [one.id]
    assert list(store.verify()) == []
    assert [found for found in store.scrub() if not isinstance(found, Scrubbed)] == []
    with pytest.raises(OSError, match="read-only"):
        store.add([samples.contents(2)[1].pair])
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


def test_the_home_of_a_killed_process_goes_and_that_of_a_fork_stays(tmp_path: Path) -> None:
    store = open_at(tmp_path / "o", True)
    child = os.fork()
    if not child:
        open_at(tmp_path / "o").add([samples.contents(1)[0].pair])
        store.close()  # what a fork closes, its parent still has
        kept = open_at(tmp_path / "o")
        os.kill(os.getpid(), 9 if kept else 15)
    assert os.waitpid(child, 0)[1] == 9
    homes = [path for path in (tmp_path / "o" / "swhkit" / "tmp").iterdir() if path.is_dir()]
    assert len(homes) == 2
    store.add([samples.contents(2)[1].pair])
    homes = [path for path in (tmp_path / "o" / "swhkit" / "tmp").iterdir() if path.is_dir()]
    assert len(homes) == 1
    assert len(store.scan()) == 2
    store.close()


def test_what_is_iterated_keeps_its_store(tmp_path: Path) -> None:
    large = max(samples.graph(), key=lambda one: len(one.body))
    open_at(tmp_path / "o", True).add([large.pair])
    assert b"".join(open_at(tmp_path / "o").stream(large.id)) == large.body
    assert [one.id for one in open_at(tmp_path / "o").scrub() if isinstance(one, Scrubbed)] == [large.id]


def test_a_failed_add_leaves_no_file(tmp_path: Path) -> None:
    store = open_at(tmp_path / "o", True)
    with pytest.raises(OSError, match="gone"):
        store.add([samples.contents(1)[0].pair, (samples.UNKNOWN, File(tmp_path / "gone", 5))])
    assert files(store) == {}
    assert leftovers(store) == []
    assert pack_folder(store).is_dir()
    store.close()
