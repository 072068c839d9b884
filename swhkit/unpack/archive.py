"""The door: which kind of archive a file is, and its members."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from swhkit.errors import InvalidInput
from swhkit.process import Runner
from swhkit.unpack.inflate import compression, inflate
from swhkit.unpack.member import CHUNK, ArchiveLimits, Member, Meter
from swhkit.unpack.tar import is_header, read_tar
from swhkit.unpack.zip import MAGICS, read_zip


class Archive(msgspec.Struct, frozen=True):
    """An open archive: its ``members``, to be read once and in order, and the ``meter`` that watches over it."""

    members: Iterator[Member]
    meter: Meter


@contextlib.contextmanager
def open_archive(
    path: Path, limits: ArchiveLimits | None = None, runner: Runner | None = None, *, name: str | None = None
) -> Iterator[Archive]:
    """The members of an archive file, known by its first bytes, whatever its name.

    ``runner`` starts the child that some formats are read by (one of its own without it); ``name`` is what messages
    call the archive (its path without it). Raises ``InvalidInput`` when it cannot be opened or is no archive; so does reading the members when it is damaged
    or exceeds ``limits``.
    """
    meter = Meter(name or os.fsdecode(path), limits or ArchiveLimits())
    try:
        file = path.open("rb")
    except OSError as error:
        raise meter.error(f"cannot be read ({error.strerror})") from None
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise meter.error("is no file")
        start = file.read(6)
        file.seek(0)
        yield Archive(_members(file, start, status.st_size, meter), meter)


def _members(file: BinaryIO, start: bytes, length: int, meter: Meter) -> Iterator[Member]:
    if start.startswith(MAGICS):
        return read_zip(file, length, meter)
    magic = compression(start)
    return read_tar(_plain(file, meter) if magic is None else inflate(file, magic, meter), meter)


def _plain(file: BinaryIO, meter: Meter) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        meter.read += len(data)
        yield data


def is_archive(path: Path) -> bool:
    """Whether a file begins like an archive that ``open_archive`` reads."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
            if start.startswith(MAGICS) or is_header(start):
                return True
            magic = compression(start)
            if magic is None:
                return False
            file.seek(0)
            meter = Meter(os.fsdecode(path), ArchiveLimits())
            head = io.BytesIO()
            for piece in inflate(file, magic, meter):
                head.write(piece)
                if head.tell() >= 512:
                    break
            block = head.getvalue()[:512]
            return is_header(block) or (len(block) == 512 and not block.strip(b"\0"))
    except (OSError, InvalidInput):
        return False
