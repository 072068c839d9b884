"""Which refs become branches, and the snapshot they make."""

from __future__ import annotations

import itertools

import pytest

from swhkit.manifest import encode_snapshot
from swhkit.plugin import Branch, BranchType, Kind, Snapshot, is_branch
from swhkit_git.refs import Listing, branches_of, same_as, snapshot_of

A, B, C = (bytes([n]) * 20 for n in (1, 2, 3))
KINDS = {A: Kind.REVISION, B: Kind.RELEASE, C: Kind.CONTENT}


def snapshot(refs: dict[bytes, bytes], symrefs: dict[bytes, bytes] | None = None) -> Snapshot:
    return snapshot_of(branches_of(Listing(refs, symrefs or {})), KINDS)


@pytest.mark.parametrize(
    "name",
    [
        b"HEAD",
        b"refs/heads/main",
        b"refs/heads/pull/1/merge",
        b"refs/heads/changes/1",
        b"refs/pull/1/head",
        b"refs/pull/1/merged",
        b"refs/merge-requests/2/head",
        b"refs/notes/commits",
        b"refs/stash",
        b"refs/keep-around/x",
        b"refs/heads/\xff\xfe",
    ],
)
def test_refs_that_are_branches(name: bytes) -> None:
    assert is_branch(name)


@pytest.mark.parametrize(
    "name",
    [
        b"refs/tags/v1^{}",
        b"refs/pull/1/merge",
        b"refs/merge-requests/2/merge",
        b"refs/pipelines/7",
        b"refs/changes/01/1/1",
    ],
)
def test_refs_that_are_not(name: bytes) -> None:
    assert not is_branch(name)
    assert name not in snapshot({name: A}).branches


def test_types_follow_from_the_objects() -> None:
    made = snapshot({b"refs/heads/main": A, b"refs/heads/tag": B, b"refs/tags/blob": C})
    assert made.branches == {
        b"refs/heads/main": Branch(BranchType.REVISION, A),
        b"refs/heads/tag": Branch(BranchType.RELEASE, B),
        b"refs/tags/blob": Branch(BranchType.CONTENT, C),
    }


def test_symbolic_refs_are_aliases() -> None:
    made = snapshot({b"HEAD": A, b"refs/heads/main": A}, {b"HEAD": b"refs/heads/main"})
    assert made.branches[b"HEAD"] == Branch(BranchType.ALIAS, b"refs/heads/main")
    assert made.branches[b"refs/heads/main"] == Branch(BranchType.REVISION, A)


@pytest.mark.parametrize("target", [b"refs/heads/gone", b"refs/changes/01/1/1"])
def test_an_alias_to_what_is_no_branch_gets_a_dangling_entry(target: bytes) -> None:
    made = snapshot({b"HEAD": A, b"refs/changes/01/1/1": A}, {b"HEAD": target})
    assert made.branches == {b"HEAD": Branch(BranchType.ALIAS, target), target: None}


@pytest.mark.parametrize("length", [1, 2, 3, 50])
def test_symbolic_refs_that_go_round_have_no_end_and_are_no_aliases(length: int) -> None:
    names = [b"refs/heads/%d" % n for n in range(length)]
    symrefs = dict(zip(names, [*names[1:], names[0]], strict=True))
    made = snapshot({names[0]: A}, symrefs)
    assert made.branches == {names[0]: Branch(BranchType.REVISION, A)}
    encode_snapshot(made)


def test_a_hostile_chain_of_symbolic_refs_is_quick() -> None:
    names = [b"refs/heads/%d" % n for n in range(100_000)]
    made = snapshot({}, dict(itertools.pairwise(names)))
    encode_snapshot(made)
    assert len(made.branches) <= 6


def test_lost_branches_are_left_out_and_aliases_to_them_dangle() -> None:
    listing = Listing({b"HEAD": A, b"refs/heads/main": A, b"refs/heads/x": B}, {b"HEAD": b"refs/heads/main"})
    made = snapshot_of(branches_of(listing), {B: Kind.RELEASE}, {b"refs/heads/main": "why"})
    assert made.branches == {
        b"HEAD": Branch(BranchType.ALIAS, b"refs/heads/main"),
        b"refs/heads/main": None,
        b"refs/heads/x": Branch(BranchType.RELEASE, B),
    }


@pytest.mark.parametrize(
    ("refs", "symrefs", "same"),
    [
        ({b"refs/heads/main": A, b"HEAD": A}, {b"HEAD": b"refs/heads/main"}, True),
        ({b"refs/heads/main": A, b"HEAD": A, b"refs/pull/1/merge": C}, {b"HEAD": b"refs/heads/main"}, True),
        ({b"refs/heads/main": B, b"HEAD": B}, {b"HEAD": b"refs/heads/main"}, False),
        ({b"refs/heads/main": A, b"HEAD": A, b"refs/x": A}, {b"HEAD": b"refs/heads/main"}, False),
        ({b"refs/heads/main": A, b"HEAD": A}, {}, False),
        ({b"refs/heads/main": A}, {}, False),
        ({}, {b"HEAD": b"refs/heads/main"}, False),
    ],
)
def test_what_is_the_same_as_before(
    refs: dict[bytes, bytes], symrefs: dict[bytes, bytes], same: bool
) -> None:
    before = snapshot({b"refs/heads/main": A, b"HEAD": A}, {b"HEAD": b"refs/heads/main"})
    assert same_as(branches_of(Listing(refs, symrefs)), before) is same


def test_an_empty_repository_is_the_same_as_before() -> None:
    listing = Listing({}, {b"HEAD": b"refs/heads/main"})
    before = snapshot_of(branches_of(listing), {})
    assert before.branches == {
        b"HEAD": Branch(BranchType.ALIAS, b"refs/heads/main"),
        b"refs/heads/main": None,
    }
    assert same_as(branches_of(listing), before)
