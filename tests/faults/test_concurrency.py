"""Writers, readers, maintenance and checks at once, for a minute."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.common import make_store, opened, visit_here
from faults.concurrency import NEW, WRITERS, everybody
from generate import add_revisions, repository

from swhkit.pack import pack_checksum_ok
from swhkit_filesystem import verifying

SEED = 7


@pytest.mark.slow
def test_everybody_at_once(tmp_path: Path) -> None:
    """All that is promised is judged in there; here, that the minute was one in which it might have been broken."""
    load, told = everybody(tmp_path, SEED, 60)
    assert load.truth.survived, f"no pack went while a reader had one open: {told}"
    assert load.done["merges"] >= 3, told
    assert load.done["check"] >= 4, told
    assert load.done["load"] > 2 * WRITERS, told
    assert len(load.truth.whole) > WRITERS, told
    assert WRITERS < len(load.urls) <= 1 + WRITERS * (1 + NEW), told


def test_a_pack_that_is_rewritten_while_it_is_verified_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its idx goes first: a look between the two must not say that an index is lost."""
    base = repository(tmp_path / "base.git", 10)
    store = make_store(tmp_path / "store")
    for number in range(2):
        visit_here(store, f"file://{base}")
        add_revisions(base, 10, seed=number)
    genuine, looked, merged = pack_checksum_ok, list[str](), list[str]()

    def while_somebody_merges(path: Path) -> bool:
        good = genuine(path)
        looked.append(path.name)
        if looked.count(path.name) == 2 and not merged:  # the pack, the idx, the pack: now as a pair
            with opened(store) as other:
                merged.append(other.writer()[0].maintain().summary)
        return good

    monkeypatch.setattr(verifying, "pack_checksum_ok", while_somebody_merges)
    with opened(store) as target:
        assert list(target.writer()[0].verify()) == []
        assert "became" in merged[0]
        assert list(target.writer()[0].verify()) == []
