"""The door: which kind of archive a file is, and its members."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from swhkit.errors import InvalidInput
from swhkit.process import Runner
from swhkit.scratch import scratch_folder
from swhkit.unpack import foreign, nar
from swhkit.unpack.inflate import compression, inflate
from swhkit.unpack.member import CHUNK, ArchiveLimits, Member, Meter
from swhkit.unpack.tar import BLOCK, is_header, read_tar
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

    ``runner`` starts the child that some forms are read by (without it, one of our own). ``name`` is what messages call
    the archive (without it, its path). Raises ``InvalidInput`` when it cannot be opened or is no archive; so does
    reading the members when it is damaged or exceeds ``limits``.
    """
    meter = Meter(name or os.fsdecode(path), limits or ArchiveLimits())
    try:
        file = path.open("rb")
    except OSError as error:
        raise meter.error(f"cannot be read ({error.strerror})") from None
    with file, contextlib.ExitStack() as held:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise meter.error("is no file")
        members = _members(file, status.st_size, meter, runner, held)
        held.callback(members.close)
        yield Archive(members, meter)


def _members(
    file: BinaryIO, length: int, meter: Meter, runner: Runner | None, held: contextlib.ExitStack
) -> Generator[Member, None, None]:
    """The members, by the form that the file is found to have."""
    start = file.read(foreign.ENOUGH)
    file.seek(0)
    if start.startswith(MAGICS):
        yield from read_zip(file, length, meter)
        return
    magic = None if is_header(start[:BLOCK]) else compression(start)
    head, pieces = start, _plain(file, meter)
    if magic is not None:
        head, pieces = _peek(inflate(file, magic, meter))
    if head.startswith(nar.MAGIC):
        yield from nar.read_nar(pieces, meter)
    elif not is_header(head[:BLOCK]) and (foreign.is_foreign(head) or foreign.is_foreign(start)):
        runner = runner or Runner(held.enter_context(scratch_folder("archive")))
        yield from foreign.read_foreign(file, length, meter, runner)
    else:
        yield from read_tar(pieces, meter)


def _plain(file: BinaryIO, meter: Meter) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        meter.read += len(data)
        yield data


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Enough of the bytes to tell what they are, and all of them."""
    taken: list[bytes] = []
    size = 0
    while size < BLOCK and (piece := next(pieces, b"")):
        taken.append(piece)
        size += len(piece)
    return b"".join(taken), itertools.chain(taken, pieces)


def is_archive(path: Path) -> bool:
    """Whether a file begins like an archive that ``open_archive`` reads."""
    try:
        with path.open("rb") as file:
            start = file.read(foreign.ENOUGH)
            if (
                start.startswith((*MAGICS, nar.MAGIC))
                or is_header(start[:BLOCK])
                or foreign.is_foreign(start)
            ):
                return True
            magic = compression(start)
            if magic is None:
                return False
            file.seek(0)
            head = _peek(inflate(file, magic, Meter(os.fsdecode(path), ArchiveLimits())))[0]
            block = head[:BLOCK]
            empty = len(block) == BLOCK and not block.strip(b"\0")
            return empty or is_header(block) or head.startswith(nar.MAGIC) or foreign.is_foreign(head)
    except (OSError, InvalidInput):
        return False
