"""Trees that are edited: what they hold and hash to is what a plain model says, and only what changed is read or given."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swhkit.errors import Corrupt, InvalidInput
from swhkit.hashes import git_digest
from swhkit.manifest import encode, object_id
from swhkit.model import Directory, Entry
from swhkit.plugin import EMPTY_DIRECTORY, Tree
from swhkit.swhid import ObjectId

ONE, TWO = git_digest("blob", b"one"), git_digest("blob", b"two")


class Store:
    """Directories by id, and the ids that were read."""

    def __init__(self) -> None:
        self.bodies: dict[ObjectId, bytes] = {}
        self.reads: list[ObjectId] = []
        self.given: list[Directory] = []

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        wanted = list(ids)
        self.reads += wanted
        return {id: self.bodies[id] for id in wanted if id in self.bodies}

    def take(self, tree: Tree) -> bytes:
        """All new directories; returns the digest of the root. Nothing is given before what it holds."""
        self.given = list(tree.write())
        for directory in self.given:
            for entry in directory.entries:
                known = {id.digest for id in self.bodies} | {EMPTY_DIRECTORY}
                assert entry.type != "dir" or entry.target in known
            self.bodies[object_id(directory)] = encode(directory)
        return tree.root


@pytest.fixture
def store() -> Store:
    return Store()


def test_a_tree_is_what_git_makes_of_it(store: Store, tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    tree = Tree(store.read, keep_empty=False)
    for path, perms in (("a-b", 0o100644), ("a/x", 0o100755), ("a.c", 0o100644), ("d/e/f", 0o100644)):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"one")
        file.chmod(perms & 0o777)
        tree.put(path.encode(), ONE, perms)
    (tmp_path / "link").symlink_to("a/x")
    tree.put(b"link", git_digest("blob", b"a/x"), 0o120000)
    subprocess.run([*git, "add", "-A"], check=True)
    wanted = subprocess.run([*git, "write-tree"], check=True, capture_output=True, text=True).stdout.strip()
    assert store.take(tree).hex() == wanted


def test_only_what_changed_is_given_and_only_the_way_to_it_is_read(store: Store) -> None:
    tree = Tree(store.read)
    for folder in range(100):
        for name in range(100):
            tree.put(b"d%d/f%d" % (folder, name), ONE, 0o100644)
    root = store.take(tree)
    assert len(store.given) == 101
    again = Tree(store.read, root)
    again.put(b"d7/f7", TWO, 0o100644)
    changed = store.take(again)
    assert len(store.given) == 2
    assert len(store.reads) == 2
    again.put(b"d7/f7", ONE, 0o100644)
    assert store.take(again) == root != changed


def test_unchanged_trees_give_nothing(store: Store) -> None:
    tree = Tree(store.read)
    tree.put(b"a/b", ONE, 0o100644)
    root = store.take(tree)
    tree.put(b"a/b", ONE, 0o100644)
    tree.make(b"a")
    assert not tree.remove(b"a/c")
    assert not tree.remove(b"x/y/z")
    assert store.take(tree) == root
    assert store.given == []


def test_empty_trees_and_folders(store: Store) -> None:
    tree = Tree(store.read)
    assert store.take(tree) == EMPTY_DIRECTORY
    assert store.given == [Directory(())]
    tree.make(b"a/b")
    store.take(tree)
    assert tree.entries(b"a") == [Entry(b"b", "dir", EMPTY_DIRECTORY, 0o40000)]
    assert Tree(store.read, EMPTY_DIRECTORY).entries() == []


def test_folders_that_lose_their_last_entry(store: Store) -> None:
    keeping, pruning = Tree(store.read), Tree(store.read, keep_empty=False)
    for tree in (keeping, pruning):
        tree.put(b"a/b/c/d", ONE, 0o100644)
        tree.put(b"a/x", ONE, 0o100644)
        assert tree.remove(b"a/b/c/d")
    assert keeping.get(b"a/b/c") == Entry(b"c", "dir", EMPTY_DIRECTORY, 0o40000)
    assert pruning.get(b"a/b") is None
    assert [entry.name for entry in pruning.entries(b"a")] == [b"x"]
    assert pruning.remove(b"a/x")
    assert pruning.root == EMPTY_DIRECTORY


def test_files_and_folders_take_each_others_place(store: Store) -> None:
    tree = Tree(store.read)
    tree.put(b"a/b", ONE, 0o100644)
    tree.put(b"a", TWO, 0o100755)
    assert tree.get(b"a/b") is None
    assert tree.get(b"a") == Entry(b"a", "file", TWO, 0o100755)
    assert tree.entries(b"a") == []
    tree.put(b"a/b/c", ONE, 0o160000)
    entry = tree.get(b"a/b/c")
    assert entry == Entry(b"c", "rev", ONE, 0o160000)


def test_a_directory_is_attached_unread(store: Store) -> None:
    tree = Tree(store.read)
    tree.put(b"trunk/src/main", ONE, 0o100644)
    tree.put(b"trunk/readme", ONE, 0o100644)
    trunk = tree.get(b"trunk")
    assert trunk is not None
    before = len(store.reads)
    tree.attach(b"branches/one", trunk.target)
    root = store.take(tree)
    assert len(store.reads) == before
    assert {entry.name for entry in tree.entries(b"branches/one/src")} == {b"main"}
    tree.attach(b"", trunk.target)
    assert tree.root == trunk.target != root


def test_what_cannot_be_read_is_an_error(store: Store) -> None:
    with pytest.raises(Corrupt, match="is not there"):
        Tree(store.read, ONE)
    tree = Tree(store.read)
    tree.attach(b"lost", ONE)
    with pytest.raises(Corrupt, match="is not there"):
        tree.put(b"lost/file", ONE, 0o100644)


@pytest.mark.parametrize("path", [b"/a", b"a/", b"a//b", b".", b"a/../b", b"./a", b"/".join([b"a"] * 4001)])
def test_paths_that_are_none(store: Store, path: bytes) -> None:
    tree = Tree(store.read)
    for attempt in (
        lambda: tree.put(path, ONE, 0o100644),
        lambda: tree.make(path),
        lambda: tree.remove(path),
        lambda: tree.get(path),
    ):
        with pytest.raises(InvalidInput, match="no path in a tree"):
            attempt()
    with pytest.raises(InvalidInput, match="the root of a tree is a folder"):
        tree.put(b"", ONE, 0o100644)
    assert tree.root == EMPTY_DIRECTORY


def test_a_deep_path_needs_no_deep_stack(store: Store) -> None:
    tree = Tree(store.read, keep_empty=False)
    path = b"/".join([b"a"] * 4000)
    tree.put(path, ONE, 0o100644)
    store.take(tree)
    assert len(store.given) == 4000
    assert tree.remove(path)
    assert store.take(tree) == EMPTY_DIRECTORY


def test_memory_is_let_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swhkit.tree._KEPT", 10)
    tree = Tree(store.read)
    for name in range(50):
        tree.put(b"a/f%d" % name, ONE, 0o100644)
    root = store.take(tree)
    tree.put(b"a/f0", TWO, 0o100644)
    assert [id.digest for id in store.reads][-2] == root
    assert store.take(tree) != root
    assert len(tree.entries(b"a")) == 50


Files = dict[tuple[bytes, ...], bytes]
names = st.sampled_from([b"a", b"b", b"a.b", b"a-", b"c"])
paths = st.lists(names, min_size=1, max_size=4).map(tuple)
edits = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove", "write"]), paths, st.sampled_from([ONE, TWO]))
)


def edited(files: Files, verb: str, path: tuple[bytes, ...], digest: bytes) -> Files:
    """The same edit of a plain map from paths to digests."""
    if verb == "write":
        return files
    ways = {path[:length] for length in range(len(path))} if verb == "put" else set()
    kept = {p: d for p, d in files.items() if p[: len(path)] != path and p not in ways}
    return kept | {path: digest} if verb == "put" else kept


def hashed(files: Files) -> bytes:
    entries = [Entry(p[0], "file", d, 0o100644) for p, d in files.items() if len(p) == 1]
    for name in {p[0] for p in files if len(p) > 1}:
        below = hashed({p[1:]: d for p, d in files.items() if len(p) > 1 and p[0] == name})
        entries.append(Entry(name, "dir", below, 0o40000))
    return object_id(Directory(tuple(entries))).digest


@settings(max_examples=300, deadline=None)
@given(edits)
def test_any_edits_give_what_the_plain_model_gives(steps: list[tuple[str, tuple[bytes, ...], bytes]]) -> None:
    store, files = Store(), Files()
    tree = Tree(store.read, keep_empty=False)
    for verb, path, digest in steps:
        if verb == "write":
            store.take(tree)
            tree = Tree(store.read, tree.root, keep_empty=False)
        elif verb == "put":
            tree.put(b"/".join(path), digest, 0o100644)
        else:
            tree.remove(b"/".join(path))
        files = edited(files, verb, path, digest)
        assert tree.root == hashed(files)
