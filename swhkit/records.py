"""The stream of catalog records: one format for a stage's log, an export and a peer.

A file of records is a plain concatenation of msgpack arrays, each the tag of its struct and its fields in order
(``swhkit.model``; moments are msgpack timestamps). Any msgpack library can read it. A stream that ends in the middle
of a record, or holds anything else, is ``Corrupt``: whoever wrote it did not get to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

import msgpack
import msgspec

from swhkit.errors import Corrupt
from swhkit.model import ContentRow, ExtId, ExtrinsicMetadata, Gap, ObjectMetadata, PersonRow

AnyRecord = ContentRow | ObjectMetadata | ExtId | ExtrinsicMetadata | PersonRow | Gap

#: No record is larger than this (bytes): a longer one is damage, or an attack.
RECORD_LIMIT = 256 << 20
_BATCH = 512
_ENCODER = msgspec.msgpack.Encoder()


def encode(record: AnyRecord) -> bytes:
    """One record as msgpack."""
    return _ENCODER.encode(record)


def write(file: BinaryIO, records: Iterable[AnyRecord]) -> int:
    """Append records to an open file; returns how many. Neither flushed nor synced."""
    count = 0
    for record in records:
        file.write(_ENCODER.encode(record))
        count += 1
    return count


def read(file: BinaryIO) -> Iterator[AnyRecord]:
    """The records of an open file, streamed. Raises ``Corrupt`` naming the file and the place."""
    unpacker = msgpack.Unpacker(file, raw=False, timestamp=3, max_buffer_size=RECORD_LIMIT, read_size=1 << 16)
    name = getattr(file, "name", "the record stream")
    whole = 0
    try:
        while True:
            batch = []
            for item in islice(unpacker, _BATCH):
                batch.append(item)
                whole = unpacker.tell()
            if not batch:
                break
            yield from msgspec.convert(batch, list[AnyRecord])
    except (
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        msgpack.exceptions.UnpackException,
    ) as error:
        raise Corrupt(f"{name} is damaged near byte {whole}: {error}") from None
    file.seek(0, 2)
    if file.tell() != whole:
        raise Corrupt(f"{name} ends in the middle of a record at byte {whole}")
