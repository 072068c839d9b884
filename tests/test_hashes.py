"""The four digests of a content, against published values and git's own."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swhkit.hashes import HASH_LENGTHS, Hasher, git_digest, git_header, hash_chunks, hash_content

OBJECTS = json.loads((Path(__file__).parent / "data/vectors/objects.json").read_text())["objects"]
CONTENTS = [content for content in OBJECTS["content"] if content["data_b64"] is not None]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content["sha1_git"][:8])
def test_known_contents(content: dict[str, str]) -> None:
    data = base64.b64decode(content["data_b64"])
    hashes = hash_content(data)
    assert hashes.length == content["length"]
    for name, length in HASH_LENGTHS.items():
        digest = getattr(hashes, name)
        assert len(digest) == length
        assert digest.hex() == content[name]
    assert git_digest("blob", data) == hashes.sha1_git


def test_vectors_have_contents() -> None:
    assert len(CONTENTS) >= 5


def test_git_agrees() -> None:
    data = bytes(range(256)) * 33
    done = subprocess.run(["git", "hash-object", "--stdin"], input=data, capture_output=True, check=True)
    assert hash_content(data).sha1_git.hex() == done.stdout.decode().strip()
    assert git_header("blob", len(data)) == b"blob 8448\0"


@given(st.lists(st.binary()))
def test_the_cut_does_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert hash_chunks(len(whole), chunks) == hash_content(whole)


@pytest.mark.parametrize(("announced", "data"), [(3, b"ab"), (1, b"ab"), (1, b""), (0, b"a")])
def test_a_wrong_length_is_told(announced: int, data: bytes) -> None:
    with pytest.raises(ValueError, match=f"{announced} bytes were announced, {len(data)} came"):
        hash_chunks(announced, [data])


def test_a_known_git_digest_is_taken_over() -> None:
    data = b"hello"
    hasher = Hasher(len(data), git_digest("blob", data))
    hasher.update(memoryview(data))
    assert hasher.finish() == hash_content(data)
