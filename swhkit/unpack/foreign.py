"""Archives of other forms (7z, cpio, ar and deb, rpm, iso, cab, lha, xar, rar), read by libarchive in a child of ours.

C code that reads what strangers made runs in a process of its own, which gets the open file and nothing else: a crash
of it is an error of that archive, its memory and time are bounded, and it can write nothing but members to a pipe. The
limits hold here, on what comes out of that pipe, whatever the child says.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from swhkit.child import Child
from swhkit.errors import InvalidInput, MissingProgram
from swhkit.process import Runner
from swhkit.unpack.member import CHUNK, NAME_LIMIT, Member, MemberType, Meter, show

#: So many bytes from its beginning tell every form (an iso image has its name behind 16 blocks of 2 KiB).
ENOUGH = 32774
_MAGICS = (
    b"7z\xbc\xaf\x27\x1c", b"070701", b"070702", b"070707", b"\xc7\x71", b"\x71\xc7", b"!<arch>\n", b"\xed\xab\xee\xdb",
    b"MSCF\0\0\0\0", b"xar!", b"Rar!\x1a\x07", b"\x04\x22\x4d\x18",
)  # fmt: skip
_READER = Path(__file__).with_name("reader.py")
#: Frames of the child: a letter and the length of what follows; a member's fixed part: type, executable, length of
#: its bytes, of its name (the rest is the target of a link).
_FRAME, _MEMBER = struct.Struct("<cI"), struct.Struct("<BBqI")
_TYPES = (MemberType.FILE, MemberType.DIRECTORY, MemberType.SYMLINK, MemberType.HARDLINK, MemberType.SPECIAL)


def is_foreign(start: bytes) -> bool:
    """Whether a file that begins so has a form that libarchive is to read."""
    return (
        start.startswith(_MAGICS)
        or start[32769:32774] == b"CD001"
        or (start[2:5] in (b"-lh", b"-lz", b"-pm") and start[6:7] == b"-")
    )


def read_foreign(file: BinaryIO, length: int, meter: Meter, runner: Runner) -> Iterator[Member]:
    """The members of an archive of ``length`` bytes. Raises ``InvalidInput`` for what is damaged, encrypted or exceeds
    the limits, ``MissingProgram`` where libarchive is not installed."""
    meter.read = length
    file.seek(0)
    handle = file.fileno()
    argv = [sys.executable, "-I", str(_READER)]
    with runner.with_(pass_fds=[handle]).start(
        [*argv, str(handle)], env={"LC_ALL": "C.UTF-8"}, stdin=False
    ) as child:
        yield from _Frames(child, meter).members()


class _Frames:
    """What the child says."""

    def __init__(self, child: Child, meter: Meter) -> None:
        self._child, self._meter = child, meter

    def members(self) -> Iterator[Member]:
        """The members, up to the child's word that these were all."""
        while (frame := self._next())[0] != b"E":
            letter, length = frame
            if letter != b"M" or not _MEMBER.size <= length <= _MEMBER.size + 2 * NAME_LIMIT:
                raise self._broken()
            body = self._exactly(length)
            type, executable, size, name_length = _MEMBER.unpack_from(body)
            name = body[_MEMBER.size : _MEMBER.size + name_length]
            target = body[_MEMBER.size + name_length :]
            if type >= len(_TYPES) or size < 0 or b"\0" in name + target:
                raise self._broken()
            self._meter.member()
            self._meter.give(length)
            yield from self._member(_TYPES[type], bool(executable), size, name, target)

    def _member(
        self, type: MemberType, executable: bool, size: int, name: bytes, target: bytes
    ) -> Iterator[Member]:
        if type is not MemberType.FILE:
            yield Member(name, type, executable, 0, target)
            return
        self._meter.file(name, size)
        chunks = self._chunks(name, size)
        yield Member(name, type, executable, size, b"", chunks)
        for _ in chunks:  # what the taker has left
            pass

    def _chunks(self, name: bytes, left: int) -> Iterator[bytes]:
        while True:
            letter, length = self._next()
            if letter != b"D" or length > CHUNK:
                raise self._broken()
            if not length:
                break
            left -= length
            if left < 0:
                break
            self._meter.give(length)
            yield self._exactly(length)
        if left:
            raise self._meter.error(f"the archive is damaged (the length of {show(name)})")

    def _next(self) -> tuple[bytes, int]:
        letter, length = _FRAME.unpack(self._exactly(_FRAME.size))
        if letter in (b"X", b"N"):
            words = self._exactly(min(length, 2000)).decode("utf-8", "replace")
            words = "".join(char if char.isprintable() else " " for char in words)
            raise (
                MissingProgram(f"{self._meter.name}: {words}") if letter == b"N" else self._meter.error(words)
            )
        return letter, length

    def _exactly(self, count: int) -> bytes:
        data = self._child.stdout.read(count)
        if len(data) != count:
            raise self._broken()
        return data

    def _broken(self) -> InvalidInput:
        """The error of a child that has died, or says what makes no sense."""
        if not self._child.ended(1.0):
            return self._meter.error("cannot be read: the program that unpacks it talks nonsense")
        code = self._child.wait(check=False)
        words = self._child.stderr().strip().splitlines()[-1:] or [f"it ended with {code}"]
        return self._meter.error(
            f"cannot be read: the program that unpacks it has died of it, or needs too much memory ({words[0]})"
        )
