"""Dates, texts and parameters in their own right."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from swhkit import manifest
from swhkit.api import render, shapes
from swhkit.api.calls import Links
from swhkit.api.paging import attachment
from swhkit.api.parameters import origin_urls
from swhkit.api.routing import Router
from swhkit.api.table import ROUTES
from swhkit.escapes import escaped
from swhkit.hashes import git_digest
from swhkit.model import Directory, Release, Revision, Timestamp
from swhkit.query import Listed
from swhkit.swhid import Kind


@pytest.mark.parametrize(
    ("offset", "shown"),
    [
        (b"+0000", "2024-01-01T00:00:00+00:00"),
        (b"-0000", "2024-01-01T00:00:00+00:00"),
        (b"+0530", "2024-01-01T05:30:00+05:30"),
        (b"-0330", "2023-12-31T20:30:00-03:30"),
        (b"-0030", "2023-12-31T23:30:00-00:30"),
        (b"+200", "2024-01-01T02:00:00+02:00"),
        (b"+02", "2024-01-01T02:00:00+02:00"),
        (b"+2359", "2024-01-01T23:59:00+23:59"),
        (b"+2400", "2024-01-01T00:00:00+00:00"),
        (b"+0260", "2024-01-01T00:00:00+00:00"),
        (b"+051800", "2024-01-01T00:00:00+00:00"),
        (b"--700", "2024-01-01T00:00:00+00:00"),
        (b"+" + b"9" * 5000, "2024-01-01T00:00:00+00:00"),
        (b"", "2024-01-01T00:00:00+00:00"),
        (b"\xff", "2024-01-01T00:00:00+00:00"),
    ],
)
def test_offsets(offset: bytes, shown: str) -> None:
    assert shapes.date(Timestamp(1704067200, 0, offset)) == shown


def test_moments() -> None:
    assert shapes.date(None) is None
    assert shapes.date(Timestamp(0, 1, b"+0000")) == "1970-01-01T00:00:00.000001+00:00"
    assert shapes.date(Timestamp(-1, 0, b"+0000")) == "1969-12-31T23:59:59+00:00"
    assert shapes.date(Timestamp(253402297199, 0, b"+0100")) == "9999-12-31T23:59:59+01:00"
    assert shapes.date(Timestamp(253402297199, 0, b"+0200")) is None
    assert shapes.date(Timestamp(-62135596800, 0, b"-0100")) is None
    assert shapes.date(Timestamp(1 << 70, 0, b"+0000")) is None


@settings(deadline=None)
@given(st.binary())
def test_text_loses_nothing(value: bytes) -> None:
    shown = escaped(value)
    shown.encode()
    # Only an escaped form is taken for one; a name that merely looks like it stays what it is.
    assert shapes.untext(shown) == value or escaped(shapes.untext(shown)) == shown


def test_text_examples() -> None:
    assert escaped(b"a\\b") == "a\\b"
    assert escaped(b"a\\b\xff") == "a\\\\b\\xff"
    assert shapes.untext("a\\\\b\\xff") == b"a\\b\xff"
    assert shapes.untext("a\\x41") == b"a\\x41"
    assert shapes.untext("plain") == b"plain"
    assert shapes.untext("\udcff") == b"\xff"
    assert shapes.untext("\udcff\\xff") == b"\xff\\xff"


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_name_breaks_a_header(name: str) -> None:
    value = attachment(name)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
    assert "\\" not in value


def test_spellings_of_origin_urls() -> None:
    assert origin_urls("https://x.org/r") == ["https://x.org/r"]
    assert origin_urls("https:/x.org/r") == ["https://x.org/r"]
    assert origin_urls("https://x.org/a b") == ["https://x.org/a b", "https://x.org/a%20b"]
    assert origin_urls("file:///srv/r") == ["file:///srv/r"]
    assert origin_urls("file:/srv/r") == ["file://srv/r", "file:///srv/r"]


VECTORS = json.loads((Path(__file__).parent.parent / "data/vectors/objects.json").read_text())["objects"]
LINKS = Links("https://x.org", Router(ROUTES).templates)


@pytest.mark.parametrize("word", ["directory", "revision", "release"])
def test_every_object_can_be_shown(word: str) -> None:
    """Random objects, many of them malformed, become JSON and YAML that say the same."""
    kind = Kind.from_word(word)
    shown = 0
    for vector in VECTORS[word]:
        body = base64.b64decode(vector["manifest_b64"]).partition(b"\0")[2]
        made = manifest.parse(kind, body)
        digest = git_digest(kind.git, body)
        data = _shown(made, digest)
        text = render.encoded(data, render.JSON)
        assert json.loads(text) == data
        assert yaml.safe_load(render.encoded(data, render.YAML)) == data
        shown += 1
    assert shown > 10


def _shown(made: Directory | Revision | Release, digest: bytes) -> object:
    if isinstance(made, Revision):
        return shapes.revision(LINKS, digest, made, {})
    if isinstance(made, Release):
        return shapes.release(LINKS, digest, made, {})
    return [shapes.entry(LINKS, Listed(digest, entry)) for entry in made.entries]


@settings(deadline=None)
@given(st.binary())
def test_names_survive_yaml(name: bytes) -> None:
    data = {"name": escaped(name), "list": [escaped(name)]}
    assert yaml.safe_load(render.encoded(data, render.YAML)) == data
    assert json.loads(render.encoded(data, render.JSON)) == data
