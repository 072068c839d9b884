"""The four digests of a content, against published values and git's own."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import FOLDER

from swhkit.errors import Corrupt
from swhkit.hashes import HASH_LENGTHS, Hasher, git_digest, git_header, hash_chunks, hash_content, verified
from swhkit.swhid import Kind, ObjectId

OBJECTS = json.loads((FOLDER / "objects.json").read_text())["objects"]
CONTENTS = [content for content in OBJECTS["content"] if content["data_b64"] is not None]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content["sha1_git"][:8])
def test_known_contents(content: dict[str, Any]) -> None:
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


def test_verified_pieces_are_given_as_they_came() -> None:
    body = bytes(range(200))
    id = ObjectId(Kind.CONTENT, git_digest("blob", body))
    for pieces in ([body], [body[:1], body[1:]], [b"", body[:7], b"", body[7:], b""]):
        assert list(verified(id, len(body), pieces)) == [piece for piece in pieces if piece]
    assert list(verified(ObjectId(Kind.DIRECTORY, git_digest("tree", b"")), 0, [])) == []


@pytest.mark.parametrize("pieces", [[b"ab", b"cX"], [b"ab", b"c"], [b"ab", b"cd", b"e"], [], [b"abcd", b"x"]])
def test_the_last_piece_of_a_wrong_body_is_never_given(pieces: list[bytes]) -> None:
    id = ObjectId(Kind.CONTENT, git_digest("blob", b"abcd"))
    given: list[bytes] = []
    with pytest.raises(Corrupt, match=id.hex):
        given.extend(verified(id, 4, pieces))
    assert given == pieces[:-1]
    with pytest.raises(Corrupt, match="look elsewhere"):
        list(verified(id, 4, pieces, "look elsewhere"))


def test_the_length_and_the_kind_are_part_of_what_is_verified() -> None:
    id = ObjectId(Kind.CONTENT, git_digest("blob", b"abcd"))
    for other, length in ((id, 5), (ObjectId(Kind.DIRECTORY, id.digest), 4)):
        with pytest.raises(Corrupt):
            list(verified(other, length, [b"abcd"]))
