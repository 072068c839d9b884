"""Answers of forges, from ``tests/data/forges``, and pages made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swhkit.testing.forges import Sample

DATA = Path(__file__).parent.parent / "data/forges"
#: Repositories on a page of a fake forge.
PAGE = 3


def text(name: str) -> str:
    """A file of the samples."""
    return (DATA / name).read_text()


def document(name: str, /, **fields: Any) -> dict[str, Any]:
    """A JSON object of the samples with other values for some of its keys."""
    return {**json.loads(text(f"{name}.json")), **fields}


def moment(sample: Sample) -> str:
    """When a repository was changed, in JSON."""
    return sample.updated.strftime("%Y-%m-%dT%H:%M:%SZ")


def page(held: Sequence[Sample], number: int) -> list[Sample]:
    """The samples of a page; the first is 1."""
    return list(held[(number - 1) * PAGE : number * PAGE])


def latest_first(held: Sequence[Sample]) -> list[Sample]:
    """By the latest change."""
    return sorted(held, key=lambda sample: sample.updated, reverse=True)
