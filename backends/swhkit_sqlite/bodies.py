"""How the object store keeps bodies: the schema, and reading them back piece by piece."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from swhkit import hashes
from swhkit.errors import Corrupt, NotHeld
from swhkit.swhid import Kind, ObjectId
from swhkit_sqlite.codec import Damaged, decompress
from swhkit_sqlite.connection import Database, Schema

#: Bytes of one piece of a stream, and of one row of a large body.
PIECE = 1 << 20
#: Bodies above so many bytes are kept in rows of ``PIECE`` bytes.
WHOLE = 16 << 20
#: The codec number that says: look in ``chunk``.
CHUNKED = 2

#: Kinds as numbers: git's own (gitformat-pack(5)).
NUMBERS = {Kind.REVISION: 1, Kind.DIRECTORY: 2, Kind.CONTENT: 3, Kind.RELEASE: 4}
KINDS = {number: kind for kind, number in NUMBERS.items()}

_TABLES = (
    """CREATE TABLE object (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind INTEGER NOT NULL,
        digest BLOB NOT NULL,
        length INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        body BLOB
    )""",
    "CREATE UNIQUE INDEX object_digest ON object (digest, kind)",
    """CREATE TABLE chunk (
        object INTEGER NOT NULL REFERENCES object (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        length INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX chunk_of_object ON chunk (object, seq)",
    """CREATE VIEW v_objects AS
        SELECT id, CASE kind WHEN 1 THEN 'revision' WHEN 2 THEN 'directory' WHEN 3 THEN 'content'
            ELSE 'release' END AS kind, lower(hex(digest)) AS digest, length,
            CASE codec WHEN 0 THEN 'none' WHEN 1 THEN 'zstd' ELSE 'chunks' END AS compression,
            length(body) AS stored FROM object""",
)


def _first(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)


#: 0x73776B6F is "swko".
SCHEMA = Schema("object store", 0x73776B6F, (_first,))


def pieces_of(db: Database, row: int) -> Iterator[bytes]:
    """The body of a row in pieces of at most 1 MiB, unverified. Raises ``NotHeld`` if the row has gone, ``Damaged``."""
    with db.reading() as connection:
        found = connection.execute("SELECT codec, body, length FROM object WHERE id = ?", (row,)).fetchone()
    if found is None:
        raise NotHeld("the object was removed while it was read")
    codec, stored, length = found
    if codec == CHUNKED and isinstance(length, int):
        yield from _chunks(db, row, length)
    elif not isinstance(stored, bytes) or not isinstance(length, int) or not 0 <= length <= WHOLE:
        raise Damaged("a row has no body")
    else:
        body = memoryview(decompress(codec, stored, length))
        for start in range(0, length, PIECE):
            yield bytes(body[start : start + PIECE])


def _chunks(db: Database, row: int, length: int) -> Iterator[bytes]:
    for seq in range(-(-length // PIECE)):
        with db.reading() as connection:
            found = connection.execute(
                "SELECT codec, body, length FROM chunk WHERE object = ? AND seq = ?", (row, seq)
            ).fetchone()
        if found is None:
            raise Damaged(f"piece {seq} of a large body has gone")
        codec, stored, size = found
        if not isinstance(size, int) or not isinstance(stored, bytes) or not 0 <= size <= PIECE:
            raise Damaged(f"piece {seq} of a large body has the length {size}")
        yield decompress(codec, stored, size)


def verified(file: Path, id: ObjectId, length: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """``hashes.verified``, where ``Corrupt`` names object and file, and is also raised for ``Damaged``."""
    complaint = f"the bytes of {id} in {file} do not hash to it: run `swhkit check`"
    try:
        yield from hashes.verified(id, length, pieces, complaint)
    except Damaged as error:
        raise Corrupt(f"{id} in {file} is damaged ({error}): run `swhkit check`") from error
