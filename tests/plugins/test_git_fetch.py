"""Fetching: what comes, what is not sent twice, and what happens around an origin that is damaged or hostile."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from git_samples import Loaded, Repository, Visits
from servers import git_http
from waiting import soon

from swhkit.plugin import (
    Branch,
    BranchType,
    Gap,
    Kind,
    LimitExceeded,
    Limits,
    NotFound,
    ObjectId,
    Unavailable,
    VisitStatus,
)
from swhkit_git import GitConfig
from swhkit_git.loader import make
from swhkit_git.local import hidden_symrefs

Make = Callable[..., Repository]
Unpack = Callable[[str], Path]


def objects_of(origin: Repository, *tips: str) -> set[bytes]:
    """Digests of everything reachable from ``tips``, or from all refs."""
    listed = origin.git("rev-list", "--objects", "--no-object-names", *(tips or ["--all"]))
    return {bytes.fromhex(line) for line in listed.split()}


def target(loaded: Loaded, name: bytes) -> str | None:
    """What a branch points at: hex digits, an alias' name, or None."""
    branch = loaded.snapshot.branches[name]
    if branch is None or branch.type is BranchType.ALIAS:
        return branch.target.decode() if branch else None
    return branch.target.hex()


def damage(origin: Repository, commit: str) -> str:
    """Remove the one blob of a commit; its id."""
    blob = origin.git("rev-parse", f"{commit}:file")
    (origin.path / "objects" / blob[:2] / blob[2:]).unlink()
    return blob


# -- what comes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["file", "daemon", "smart_http"])
def test_everything_comes(visits: Visits, repository: Make, request: pytest.FixtureRequest, way: str) -> None:
    origin = repository()
    tip = origin.history(5)[-1]
    blob = origin.blob(b"tagged")
    origin.git("update-ref", "refs/tags/blob", blob)
    origin.git("tag", "-a", "-m", "m", "v1", tip)
    base = origin.url if way == "file" else request.getfixturevalue(way) + "/repo.git"
    loaded = visits.load(base)
    assert loaded.outcome is None
    assert loaded.gaps == []
    assert loaded.objects() == objects_of(origin)
    branches = loaded.snapshot.branches
    assert branches[b"refs/heads/main"] == Branch(BranchType.REVISION, bytes.fromhex(tip))
    assert branches[b"refs/tags/blob"] == Branch(BranchType.CONTENT, bytes.fromhex(blob))
    assert target(loaded, b"HEAD") == "refs/heads/main"
    assert (tag := branches[b"refs/tags/v1"])
    assert tag.type is BranchType.RELEASE
    assert visits.progress[0][0] == "listing branches"
    assert visits.progress[-1][0] == "fetching"
    assert visits.progress[-1][1] > 0


def test_a_server_of_the_old_protocol(visits: Visits, repository: Make, tmp_path: Path) -> None:
    origin = repository()
    tip = origin.history(3)[-1]
    origin.git("tag", "-a", "-m", "m", "v1", tip)
    with git_http(tmp_path / "origins", old=True) as base:
        loaded = visits.load(f"{base}/repo.git")
        assert loaded.objects() == objects_of(origin)
        assert loaded.snapshot == visits.load(origin.url).snapshot
        visits.publish(loaded)
        new = origin.commit(b"new", tip, ref="refs/heads/main")
        assert visits.load(f"{base}/repo.git").objects() == objects_of(origin, new, f"^{tip}")


def test_one_object_comes_in_a_pack_too(visits: Visits, repository: Make) -> None:
    origin = repository()
    origin.git("update-ref", "refs/tags/blob", origin.blob(b"x"))
    loaded = visits.load(origin.url)
    assert loaded.objects() == objects_of(origin)
    assert len(loaded.packs) == 1


@pytest.mark.parametrize("name", [".", "-x", "a:b", 'a "b"', "é", "%41", "http:", "ext::sh"])
def test_paths_with_odd_names(visits: Visits, repository: Make, name: str) -> None:
    origin = repository(f"{name}/repo.git")
    tip = origin.history(1)[-1]
    assert target(visits.load(origin.url), b"refs/heads/main") == tip


def test_a_work_tree_is_a_repository(visits: Visits, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    (folder / ".git" / "refs" / "remotes" / "o").mkdir(parents=True)
    (folder / ".git" / "refs" / "remotes" / "o" / "HEAD").write_text("ref: refs/remotes/o/gone\n")
    loaded = visits.load(folder.as_uri())
    assert loaded.snapshot.branches == {
        b"HEAD": Branch(BranchType.ALIAS, b"refs/heads/main"),
        b"refs/heads/main": None,
        b"refs/remotes/o/HEAD": Branch(BranchType.ALIAS, b"refs/remotes/o/gone"),
        b"refs/remotes/o/gone": None,
    }


def test_an_unborn_head_may_have_any_name(visits: Visits, repository: Make, daemon: str) -> None:
    origin = repository()
    (origin.path / "HEAD").write_bytes("ref: refs/heads/été\n".encode())
    for url in (origin.url, f"{daemon}/repo.git"):
        loaded = visits.load(url)
        assert loaded.snapshot.branches[b"HEAD"] == Branch(BranchType.ALIAS, "refs/heads/été".encode())


def test_the_objects_of_alternates_come(visits: Visits, repository: Make) -> None:
    base, origin = repository("base.git"), repository()
    tip = base.history(3)[-1]
    (origin.path / "objects" / "info" / "alternates").write_text(f"{base.path}/objects\n")
    new = origin.commit(b"new", tip, ref="refs/heads/main")
    assert visits.load(origin.url).objects() == objects_of(origin, new)


# -- bundles --------------------------------------------------------------------------------------------------------


def test_a_bundle_that_builds_on_what_is_held(visits: Visits, repository: Make, tmp_path: Path) -> None:
    origin = repository()
    old = origin.history(3)[-1]
    new = origin.commit(b"new", old, ref="refs/heads/new")
    origin.git("bundle", "create", "-q", str(tmp_path / "part.bundle"), "refs/heads/new", f"^{old}")
    bundle = (tmp_path / "part.bundle").as_uri()
    with pytest.raises(Unavailable, match="prerequisite"):
        visits.load(bundle)
    visits.publish(visits.load(origin.url))
    visits.previous = visits.previous_visit = None
    visits.closed = {ObjectId(Kind.REVISION, bytes.fromhex(old))}
    loaded = visits.load(bundle)
    assert target(loaded, b"refs/heads/new") == new
    assert loaded.outcome is None


@pytest.mark.parametrize(
    "content", [b"", b"# v2 git bundle\n", b"# v2 git bundle\n-zz\n\nPACK", b"\0" * 5000]
)
def test_files_that_are_no_bundle(visits: Visits, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bundle").write_bytes(content)
    try:
        loaded = visits.load((tmp_path / "x.bundle").as_uri())
    except Unavailable:
        return
    # A bundle without refs is an empty one.
    assert content == b"# v2 git bundle\n"
    assert loaded.snapshot.branches == {}


# -- what is not sent twice -----------------------------------------------------------------------------------------


def test_nothing_is_fetched_where_nothing_has_changed(visits: Visits, repository: Make) -> None:
    origin = repository()
    origin.history(3)
    first = visits.load(origin.url)
    visits.publish(first)
    again = visits.load(origin.url)
    assert again.items == [visits.previous]
    assert again.outcome is None
    assert list(again.scratch.iterdir()) == []


@pytest.mark.parametrize("status", [VisitStatus.PARTIAL, VisitStatus.FAILED, VisitStatus.NOT_FOUND])
def test_after_a_visit_that_was_not_full_it_is_tried_again(
    visits: Visits, repository: Make, status: VisitStatus
) -> None:
    origin = repository()
    origin.history(3)
    visits.publish(visits.load(origin.url), closed=False)
    assert visits.previous_visit
    visits.previous_visit = msgspec.structs.replace(visits.previous_visit, status=status)
    assert visits.load(origin.url).snapshot == visits.previous
    assert (visits.root / "scratch2" / "fetch.git").exists()


@pytest.mark.parametrize("way", ["file", "daemon", "smart_http"])
def test_only_what_is_new_is_sent(
    visits: Visits, repository: Make, request: pytest.FixtureRequest, way: str
) -> None:
    origin = repository()
    old = origin.history(30)[-1]
    url = origin.url if way == "file" else request.getfixturevalue(way) + "/repo.git"
    visits.publish(visits.load(url))
    new = origin.commit(b"new", old, ref="refs/heads/main")
    loaded = visits.load(url)
    assert loaded.objects() == objects_of(origin, new, f"^{old}")
    assert target(loaded, b"refs/heads/main") == new


def test_without_alternates_nothing_is_said_to_be_had(visits: Visits, repository: Make) -> None:
    origin = repository()
    old = origin.history(10)[-1]
    visits.publish(visits.load(origin.url), held=False)
    new = origin.commit(b"new", old, ref="refs/heads/main")
    assert visits.load(origin.url).objects() == objects_of(origin, new)


def test_a_fork_costs_only_its_own_commits(visits: Visits, repository: Make) -> None:
    parent, fork = repository("parent.git"), repository("fork.git")
    commits = parent.history(30)
    visits.publish(visits.load(parent.url))
    visits.likely = [ObjectId(Kind.REVISION, bytes.fromhex(commits[-1]))]
    visits.previous = visits.previous_visit = None
    fork.git("fetch", "-q", str(parent.path), "refs/heads/main")
    own = fork.commit(b"own", commits[20], ref="refs/heads/main")
    assert visits.load(fork.url).objects() == objects_of(fork, own, f"^{commits[20]}")


def test_held_is_not_closed(visits: Visits, repository: Make, tmp_path: Path) -> None:
    origin = repository()
    origin.history(10)
    subprocess.run(
        ["git", "clone", "-q", "--bare", "--depth=2", origin.url, tmp_path / "origins" / "cut.git"],
        check=True,
    )
    visits.publish(visits.load((tmp_path / "origins" / "cut.git").as_uri()), closed=False)
    visits.previous = visits.previous_visit = None
    loaded = visits.load(origin.url)
    assert loaded.outcome is None
    held = {bytes.fromhex(o.split()[0]) for o in _all_held(visits)}
    assert loaded.objects() | held >= objects_of(origin)


def _all_held(visits: Visits) -> list[str]:
    assert visits.held
    argv = ["git", "--git-dir", str(visits.held.parent), "cat-file", "--batch-all-objects", "--batch-check"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_tip_that_is_said_to_be_held_and_is_not(visits: Visits, repository: Make) -> None:
    first, origin = repository("first.git"), repository()
    first.history(2, "refs/heads/other")
    origin.history(3)
    visits.publish(visits.load(first.url))
    visits.previous = visits.previous_visit = None
    visits.likely = [ObjectId(Kind.REVISION, b"\x11" * 20)]
    loaded = visits.load(origin.url)
    assert loaded.outcome is None
    assert loaded.objects() == objects_of(origin)


def test_where_the_archive_left_something_out_all_is_fetched_anew(visits: Visits, repository: Make) -> None:
    origin = repository()
    first = origin.commit(b"too large")
    second = origin.commit(b"small", first, ref="refs/heads/main")
    visits.publish(visits.load(origin.url))
    blob = origin.git("rev-parse", f"{first}:file")
    _forget(visits, blob)
    # The old content comes back, the server believes that we have it, and we do not.
    third = origin.commit(b"too large", second, ref="refs/heads/main")
    loaded = visits.load(origin.url)
    assert loaded.outcome is None
    assert bytes.fromhex(blob) in loaded.objects()
    assert target(loaded, b"refs/heads/main") == third


def _forget(visits: Visits, blob: str) -> None:
    """Take one blob out of what is held."""
    assert visits.held
    git = ["git", "--git-dir", str(visits.held.parent)]
    (pack,) = (visits.held / "pack").glob("*.pack")
    ids = [line.split()[0] for line in _all_held(visits)]
    kept = "".join(f"{id}\n" for id in ids if id != blob)
    subprocess.run(
        [*git, "pack-objects", "-q", str(visits.held / "pack" / "pack")], input=kept, text=True, check=True
    )
    for path in (pack, pack.with_suffix(".idx")):
        path.unlink()


# -- origins that are damaged, cut, or moving -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["file", "daemon", "smart_http"])
def test_one_broken_branch_does_not_hide_the_others(
    visits: Visits, repository: Make, request: pytest.FixtureRequest, way: str
) -> None:
    origin = repository()
    tips = [origin.history(2, f"refs/heads/b{number}")[-1] for number in range(9)]
    broken = origin.commit(b"broken", tips[3], ref="refs/heads/broken")
    blob = damage(origin, broken)
    origin.git("symbolic-ref", "HEAD", "refs/heads/broken")
    loaded = visits.load(origin.url if way == "file" else request.getfixturevalue(way) + "/repo.git")
    assert loaded.outcome
    assert loaded.outcome.status is VisitStatus.PARTIAL
    assert "refs/heads/broken" in (loaded.outcome.reason or "")
    (gap,) = loaded.gaps
    assert gap.branch == b"refs/heads/broken"
    assert blob in gap.reason
    assert {name for name, branch in loaded.snapshot.branches.items() if branch is None} == {
        b"refs/heads/broken"
    }
    assert target(loaded, b"HEAD") == "refs/heads/broken"
    assert [target(loaded, b"refs/heads/b%d" % number) for number in range(9)] == tips
    assert loaded.objects() >= objects_of(origin, *tips)


def test_what_came_of_one_half_is_not_sent_again(visits: Visits, repository: Make) -> None:
    origin = repository()
    commits = origin.history(40)
    for number in range(16):
        origin.commit(b"%d" % number, commits[-1], ref=f"refs/heads/b{number:02}")
    damage(origin, origin.commit(b"broken", commits[-1], ref="refs/heads/broken"))
    loaded = visits.load(origin.url)
    sizes = [len(Loaded([pack], None, loaded.scratch).objects()) for pack in loaded.packs]
    assert len(sizes) > 1
    assert sum(sizes) <= 1.1 * len(loaded.objects())


def test_branches_to_missing_objects_are_left_out_one_by_one(visits: Visits, repository: Make) -> None:
    origin = repository()
    origin.history(2)
    for number in range(5):
        (origin.path / "refs" / "heads" / f"gone{number}").write_text(f"{number:040x}\n".replace("0", "d"))
    loaded = visits.load(origin.url)
    assert {gap.branch for gap in loaded.gaps} == {b"refs/heads/gone%d" % number for number in range(5)}
    assert set(loaded.snapshot.branches) == {b"HEAD", b"refs/heads/main"}
    assert loaded.outcome
    assert loaded.outcome.status is VisitStatus.PARTIAL
    # … and the next visit says the same, though nothing at all comes then.
    visits.publish(loaded)
    again = visits.load(origin.url)
    assert again.snapshot == loaded.snapshot
    assert again.packs == []
    assert len(again.gaps) == 5


def test_many_branches_to_missing_objects_do_not_use_up_the_tries(visits: Visits, repository: Make) -> None:
    origin = repository()
    tips = [origin.history(1, f"refs/heads/a{number}")[-1] for number in range(8)]
    for number in range(40):
        (origin.path / "refs" / "heads" / f"z{number}").write_text(f"{number + 1:040x}\n")
    visits.config = GitConfig(fetches=24)
    loaded = visits.load(origin.url)
    assert [target(loaded, b"refs/heads/a%d" % number) for number in range(8)] == tips
    assert len(loaded.gaps) == 40


def test_the_tries_are_bounded(visits: Visits, repository: Make) -> None:
    origin = repository()
    for number in range(8):
        damage(origin, origin.commit(b"%d" % number, ref=f"refs/heads/b{number}"))
    good = origin.history(1, "refs/heads/good")[-1]
    visits.config = GitConfig(fetches=3)
    with pytest.raises(Unavailable):
        visits.load(origin.url)
    visits.config = GitConfig(fetches=32)
    loaded = visits.load(origin.url)
    assert target(loaded, b"refs/heads/good") == good
    assert len(loaded.gaps) == 8


def test_a_branch_that_was_there_is_not_dropped_because_a_server_fails(
    visits: Visits, repository: Make
) -> None:
    origin = repository()
    tip = origin.history(3)[-1]
    origin.history(2, "refs/heads/other")
    visits.publish(visits.load(origin.url))
    damage(origin, origin.commit(b"broken", tip, ref="refs/heads/main"))
    with pytest.raises(Unavailable, match="nothing of what was asked"):
        visits.load(origin.url)


def test_refs_that_move_while_they_are_fetched(visits: Visits, repository: Make) -> None:
    origin = repository()
    (first,) = origin.history(1)
    moved: list[str] = []

    def move(ids: Iterable[ObjectId]) -> set[ObjectId]:
        # Between the list of refs and the fetch: a force-push, and the old object is gone at once.
        if not moved:
            moved.append(origin.commit(b"pushed", ref="refs/heads/main"))
            (origin.path / "objects" / first[:2] / first[2:]).unlink()
        return set()

    visits.is_closed = move  # type: ignore[method-assign]
    loaded = visits.load(origin.url)
    assert target(loaded, b"refs/heads/main") == moved[0]
    assert loaded.outcome is None
    assert loaded.gaps == []


def test_a_cut_history_is_partial_and_names_the_parents(
    visits: Visits, repository: Make, tmp_path: Path
) -> None:
    origin = repository()
    commits = origin.history(6)
    cut = tmp_path / "origins" / "cut.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--depth=2", origin.url, cut], check=True)
    loaded = visits.load(cut.as_uri())
    parent, child = (bytes.fromhex(commit) for commit in commits[3:5])
    assert [(gap.kind, gap.digest, gap.referrer) for gap in loaded.gaps] == [(Kind.REVISION, parent, child)]
    assert loaded.outcome
    assert loaded.outcome.status is VisitStatus.PARTIAL
    assert target(loaded, b"refs/heads/main") == commits[-1]
    # Where the archive has the rest already, nothing is missing.
    whole = Visits(tmp_path / "whole")
    whole.root.mkdir()
    whole.publish(whole.load(origin.url), closed=False)
    whole.previous = whole.previous_visit = None
    again = whole.load(cut.as_uri())
    assert again.gaps == []
    assert again.outcome is None


@pytest.mark.parametrize("depth", [2, 4])
def test_a_held_parent_vouches_only_for_what_is_held_below_it(
    visits: Visits, repository: Make, tmp_path: Path, depth: int
) -> None:
    """First a clone of depth 4, then one of depth 2: its cut parent is held, the history below that is not."""
    origin = repository()
    commits = origin.history(6)
    for number in (depth, 2):
        cut = tmp_path / "origins" / f"cut{number}.git"
        argv: list[str | Path] = ["git", "clone", "-q", "--bare", f"--depth={number}", origin.url, cut]
        subprocess.run(argv, check=True) if not cut.exists() else None
    visits.publish(visits.load((tmp_path / "origins" / f"cut{depth}.git").as_uri()), closed=False)
    visits.previous = visits.previous_visit = None
    loaded = visits.load((tmp_path / "origins" / "cut2.git").as_uri())
    assert [(gap.digest.hex(), gap.referrer.hex()) for gap in loaded.gaps if gap.digest and gap.referrer] == [
        (commits[3], commits[4])
    ]
    assert loaded.outcome
    assert loaded.outcome.status is VisitStatus.PARTIAL


def test_a_held_parent_without_its_content_vouches_for_nothing(
    visits: Visits, repository: Make, tmp_path: Path
) -> None:
    origin = repository()
    commits = origin.history(6)
    cut = tmp_path / "origins" / "cut.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--depth=2", origin.url, cut], check=True)
    visits.publish(visits.load(origin.url), closed=False)
    visits.previous = visits.previous_visit = None
    _forget(visits, origin.git("rev-parse", f"{commits[1]}:file"))
    assert [gap.digest for gap in visits.load(cut.as_uri()).gaps] == [bytes.fromhex(commits[3])]


def test_a_closed_parent_vouches_without_a_git_store(
    visits: Visits, repository: Make, tmp_path: Path
) -> None:
    origin = repository()
    commits = origin.history(6)
    cut = tmp_path / "origins" / "cut.git"
    subprocess.run(["git", "clone", "-q", "--bare", "--depth=2", origin.url, cut], check=True)
    assert len(visits.load(cut.as_uri()).gaps) == 1
    visits.closed = {ObjectId(Kind.REVISION, bytes.fromhex(commits[3]))}
    loaded = visits.load(cut.as_uri())
    assert loaded.gaps == []
    assert loaded.outcome is None


# -- limits ---------------------------------------------------------------------------------------------------------


def test_a_pack_that_is_too_large_is_stopped(visits: Visits, repository: Make) -> None:
    origin = repository()
    origin.git("update-ref", "refs/tags/big", origin.blob(os.urandom(3 << 20)))
    visits.limits = Limits(max_pack_size=1 << 20)
    with pytest.raises(LimitExceeded, match="max_pack_size"):
        visits.load(origin.url)
    visits.limits = Limits(max_pack_size=4 << 20)
    assert visits.load(origin.url).objects() == objects_of(origin)


def test_a_visit_whose_time_is_up_while_it_lists(visits: Visits, repository: Make) -> None:
    origin = repository()
    visits.limits = Limits(visit_time=-1.0)
    with pytest.raises(Unavailable, match="in time"):
        visits.load(origin.url)


def test_a_visit_whose_time_is_up_before_it_fetches(visits: Visits, repository: Make) -> None:
    origin = repository()
    origin.history(1)
    visits.limits = Limits(visit_time=1.0)

    def slow(ids: Iterable[ObjectId]) -> set[ObjectId]:
        time.sleep(1.1)
        return set()

    visits.is_closed = slow  # type: ignore[method-assign]
    with pytest.raises(LimitExceeded, match="visit_time"):
        visits.load(origin.url)


# -- hostile origins ------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(repository: Make, tmp_path: Path) -> Repository:
    """A repository with everything in it that might be run, each leaving a file ``mark``."""
    origin = repository()
    origin.history(2)
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\ntouch {tmp_path}/mark\nexec "$@"\n')
    script.chmod(0o755)
    hooks = origin.path / "hooks"
    hooks.mkdir()
    for name in (
        "pre-upload-pack",
        "post-upload-pack",
        "reference-transaction",
        "post-checkout",
        "fsmonitor-watchman",
    ):
        shutil.copy(script, hooks / name)
    for key, value in {
        "core.hooksPath": str(hooks),
        "core.fsmonitor": str(script),
        "core.pager": str(script),
        "core.sshCommand": str(script),
        "core.gitProxy": str(script),
        "core.alternateRefsCommand": str(script),
        "uploadpack.packObjectsHook": str(script),
        "remote.evil.url": f"ext::{script}",
        "remote.evil.promisor": "true",
        "remote.evil.uploadpack": str(script),
        "extensions.partialClone": "evil",
        "core.repositoryFormatVersion": "1",
        "protocol.allow": "always",
        "protocol.ext.allow": "always",
        "diff.external": str(script),
        "filter.x.smudge": str(script),
        "credential.helper": str(script),
    }.items():
        origin.git("config", key, value)
    return origin


def test_nothing_of_a_hostile_repository_is_run(visits: Visits, hostile: Repository, tmp_path: Path) -> None:
    assert visits.load(hostile.url).objects() == objects_of(hostile)
    assert not (tmp_path / "mark").exists()


def test_nothing_is_fetched_on_demand_for_a_hostile_repository(
    visits: Visits, hostile: Repository, tmp_path: Path
) -> None:
    damage(hostile, "refs/heads/main")
    with pytest.raises(Unavailable):
        visits.load(hostile.url)
    assert not (tmp_path / "mark").exists()


def test_nothing_of_the_runner_of_swhkit_is_inherited(
    visits: Visits, repository: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = repository()
    origin.history(1)
    (tmp_path / "evil").write_text(f'[url "file://{tmp_path}/other"]\n\tinsteadOf = "{tmp_path}"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "evil"))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert visits.load(origin.url).objects() == objects_of(origin)


def test_symbolic_refs_are_read_and_never_followed(visits: Visits, repository: Make, tmp_path: Path) -> None:
    origin = repository()
    origin.history(1)
    heads = origin.path / "refs" / "heads"
    (tmp_path / "secret").write_text("ref: refs/heads/secret\n")
    (heads / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("ref: refs/heads/inner\n")
    (heads / "linked").symlink_to(tmp_path / "folder")
    (heads / "up").write_text("ref: ../../../etc/passwd\n")
    (heads / "self").write_text("ref: refs/heads/self\n")
    (heads / "long").write_text("ref: refs/heads/" + "x" * 10_000)
    (heads / "odd").write_bytes(b"ref: refs/heads/a\tb\n")
    (heads / "kept").write_bytes(b"ref: refs/heads/\xe9t\xe9\n")
    branches = visits.load(origin.url).snapshot.branches
    assert set(branches) == {b"HEAD", b"refs/heads/main", b"refs/heads/kept", b"refs/heads/\xe9t\xe9"}
    assert branches[b"refs/heads/kept"] == Branch(BranchType.ALIAS, b"refs/heads/\xe9t\xe9")


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    """Git itself would wait; the walk over its refs, which has no child that can be stopped, must not."""
    (tmp_path / "refs" / "heads").mkdir(parents=True)
    os.mkfifo(tmp_path / "refs" / "heads" / "pipe")
    (tmp_path / "refs" / "heads" / "a").write_text("ref: refs/heads/b\n")
    assert list(hidden_symrefs(tmp_path, ())) == [(b"refs/heads/a", b"refs/heads/b")]


def _has_reader(pipe: Path) -> bool:
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.errno != errno.ENXIO
    return True


def test_a_pipe_among_the_refs_does_not_hold_a_visit_up(visits: Visits, repository: Make) -> None:
    """Git waits for somebody to write into it; the listing is stopped, with the upload-pack it has started."""
    origin = repository()
    origin.history(1)
    os.mkfifo(origin.path / "refs" / "heads" / "pipe")
    visits.config = GitConfig(listing_time=0.7)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="in time"):
        visits.load(origin.url)
    assert time.monotonic() - started < 5
    # Nobody waits at the other end any more, as soon as the kernel has taken the killed children away.
    pipe = origin.path / "refs" / "heads" / "pipe"
    assert soon(lambda: not _has_reader(pipe)), "an upload-pack still waits at the pipe"


def test_what_a_server_calls_its_branches_is_not_written_to_terminals(visits: Visits) -> None:
    held, gone = b"\x11" * 20, b"\x22" * 20

    def packet(data: bytes) -> bytes:
        return b"%04x%s" % (len(data) + 4, data)

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(packet(gone.hex().encode() + b" refs/heads/\x1b[31mred\0 agent=x\n"))
            connection.sendall(packet(held.hex().encode() + b" refs/heads/x\n") + b"0000")
            while b"want" not in (data := connection.recv(1 << 16)) and data:
                pass
            connection.sendall(packet(b"ERR upload-pack: not our ref " + gone.hex().encode()))

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                serve(server.accept()[0])

    visits.closed = {ObjectId(Kind.REVISION, held)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        loaded = visits.load(f"git://127.0.0.1:{server.getsockname()[1]}/x")
        server.shutdown(socket.SHUT_RDWR)
    assert [gap.branch for gap in loaded.gaps] == [b"refs/heads/\x1b[31mred"]
    assert loaded.outcome
    assert loaded.outcome.reason
    assert "?[31mred" in loaded.outcome.reason
    assert loaded.outcome.reason.isprintable()
    assert loaded.snapshot.branches == {b"refs/heads/x": Branch(BranchType.REVISION, held)}


def test_linked_objects_outside_the_repository_do_not_come(
    visits: Visits, repository: Make, tmp_path: Path
) -> None:
    """Only what git sends as objects of a pack enters; files that are linked into a repository do not."""
    origin = repository()
    tip = origin.history(1)[-1]
    (tmp_path / "secret").write_bytes(b"secret")
    (origin.path / "objects" / "pack" / "pack-x.pack").symlink_to(tmp_path / "secret")
    (origin.path / "objects" / "de").mkdir()
    (origin.path / "objects" / "de" / ("ad" * 19)).symlink_to(tmp_path / "secret")
    loaded = visits.load(origin.url)
    assert loaded.objects() == objects_of(origin, tip)
    assert all(not path.is_symlink() for path in loaded.scratch.rglob("*"))


def test_a_closed_generator_leaves_nothing_running(visits: Visits, repository: Make) -> None:
    origin = repository()
    origin.history(2)
    load = make(GitConfig()).load(visits.context(origin.url))
    next(load)
    load.close()
    with pytest.raises(StopIteration):
        next(load)


# -- as the Software Heritage git loader ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["git-missing-blob", "git-corrupt-loose", "git-corrupt-pack", "git-sha256"])
def test_repositories_that_cannot_be_had(visits: Visits, unpacked: Unpack, name: str) -> None:
    with pytest.raises(Unavailable):
        visits.load((unpacked(name) / "repo.git").as_uri())


@pytest.mark.parametrize("name", ["git-notgit", "git-notfound"])
def test_a_repository_that_is_not_there(
    visits: Visits, unpacked: Unpack, daemon: str, smart_http: str, name: str
) -> None:
    folder = unpacked(name)
    for url in ((folder / "repo.git").as_uri(), f"{daemon}/{name}/repo.git"):
        with pytest.raises(Unavailable):
            visits.load(url)
    with pytest.raises(NotFound):
        visits.load(f"{smart_http}/{name}/repo.git")


def test_gaps_are_hashable_records(visits: Visits, unpacked: Unpack) -> None:
    loaded = visits.load((unpacked("git-ref-missing") / "repo.git").as_uri())
    assert loaded.gaps == [Gap(loaded.gaps[0].reason, branch=b"refs/heads/bad")]
    assert "de" * 20 in loaded.gaps[0].reason
