"""What a visit has brought can be read again at once, whatever there is of it, and its notes do not fill the memory."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from swhkit.digestmap import DigestMap
from swhkit.errors import Corrupt
from swhkit.hashes import git_digest
from swhkit.model import Bytes, Chunks
from swhkit.shelf import Shelf
from swhkit.swhid import Kind, ObjectId


def digests(count: int) -> list[bytes]:
    return [hashlib.sha1(b"%d" % number).digest() for number in range(count)]


def test_a_map_keeps_what_it_is_given_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swhkit.digestmap._LATEST", 1_000)
    keys = digests(30_000)
    numbers = DigestMap(tmp_path)
    for number, key in enumerate(keys, 1):
        numbers.put(key, number)
    numbers.put(keys[7], 2**63 - 1)
    assert numbers.get(keys[7]) == 2**63 - 1
    assert all(numbers.get(key) == number for number, key in enumerate(keys, 1) if number != 8)
    assert numbers.get(hashlib.sha1(b"another").digest()) is None
    assert list(tmp_path.iterdir()) == []
    numbers.close()


def test_a_map_bears_digests_that_were_chosen_to_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swhkit.digestmap._LATEST", 10)
    numbers = DigestMap(tmp_path)
    keys = [b"\xff" * 16 + number.to_bytes(4, "big") for number in range(500)]
    for number, key in enumerate(keys, 1):
        numbers.put(key, number)
    assert [numbers.get(key) for key in keys] == list(range(1, 501))
    assert numbers.get(b"\xff" * 20) is None


def shelf_of(folder: Path) -> Shelf:
    return Shelf(folder / "pack-own.pack", folder)


def body_of(shelf: Shelf, id: ObjectId) -> bytes | None:
    found = shelf.find(id)
    return None if found is None else b"".join(found[1])


def test_everything_can_be_read_while_more_comes(tmp_path: Path) -> None:
    shelf, dice = shelf_of(tmp_path), random.Random(7)
    bodies: dict[ObjectId, bytes] = {}
    for number in range(300):
        body = dice.randbytes(dice.choice([0, 1, 15, 16, 200, 4000, 5000, 90_000]))
        body += b"%d" % number * dice.choice([0, 1, 3_000])
        id = ObjectId(Kind.CONTENT, git_digest("blob", body))
        if id not in shelf:
            assert shelf.add(Kind.CONTENT, Bytes(body)) > 0
        bodies[id] = body
        earlier = dice.choice(list(bodies))
        assert body_of(shelf, earlier) == bodies[earlier]
    assert all(body_of(shelf, id) == body for id, body in bodies.items())
    assert len(shelf) == len(bodies)
    shelf.close()
    assert list(tmp_path.iterdir()) == []


def test_a_large_body_comes_in_pieces(tmp_path: Path) -> None:
    shelf, size = shelf_of(tmp_path), 40 << 20
    pieces = [os.urandom(1 << 16) + bytes((1 << 20) - (1 << 16)) for _ in range(40)]
    shelf.add(Kind.CONTENT, Chunks(size, iter(pieces)))
    header = hashlib.sha1(b"blob %d\0" % size)
    for piece in pieces:
        header.update(piece)
    found = shelf.find(ObjectId(Kind.CONTENT, header.digest()))
    assert found is not None
    assert found[0] == size
    came = list(found[1])
    assert max(map(len, came)) <= 1 << 20
    assert b"".join(came) == b"".join(pieces)


def test_what_is_elsewhere_or_of_another_kind_is_not_found(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    held = ObjectId(Kind.CONTENT, bytes(20))
    shelf.note(held)
    assert held in shelf
    assert shelf.find(held) is None
    shelf.add(Kind.DIRECTORY, Bytes(b""))
    empty = git_digest("tree", b"")
    assert body_of(shelf, ObjectId(Kind.DIRECTORY, empty)) == b""
    assert shelf.find(ObjectId(Kind.REVISION, empty)) is None
    assert shelf.finish() == tmp_path / "pack-own.pack"


def test_nothing_makes_no_pack(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    shelf.note(ObjectId(Kind.CONTENT, bytes(20)))
    assert shelf.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_damage_of_the_pack_in_the_making_is_noticed(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    id = ObjectId(Kind.CONTENT, git_digest("blob", b"text" * 1000))
    shelf.add(Kind.CONTENT, Bytes(b"text" * 1000))
    assert body_of(shelf, id) == b"text" * 1000
    with (tmp_path / "pack-own.pack.tmp").open("r+b") as file:
        file.seek(20)
        file.write(b"\xff\xff\xff\xff")
    with pytest.raises(Corrupt, match="damaged while it was written"):
        body_of(shelf, id)
