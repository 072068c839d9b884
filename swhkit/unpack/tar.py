"""Tar archives, read from a stream: POSIX (pax), GNU, ustar and the old form, sparse files filled up.

Written for hostile input, which the standard library's reader is not: names are raw bytes, numbers are never
negative, extended headers are bounded, a bad checksum is an error and not the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from swhkit.errors import InvalidInput
from swhkit.unpack.member import CHUNK, HEADER_LIMIT, NAME_LIMIT, Member, MemberType, Meter, show
from swhkit.unpack.stream import Stream, counted

BLOCK = 512
UNKNOWN = "this is no archive that can be read (no tar or zip, and none of the other forms)"
_TYPES = {
    b"1": MemberType.HARDLINK,
    b"2": MemberType.SYMLINK,
    b"3": MemberType.SPECIAL,
    b"4": MemberType.SPECIAL,
    b"5": MemberType.DIRECTORY,
    b"6": MemberType.SPECIAL,
    b"D": MemberType.DIRECTORY,
}
_RECORD = re.compile(rb"([0-9]{1,9}) ([^=]{1,1000})=", re.DOTALL)
#: What is of interest in a pax header; the rest is not kept.
_KEYS = (
    b"path",
    b"linkpath",
    b"size",
    b"GNU.sparse.name",
    b"GNU.sparse.map",
    b"GNU.sparse.major",
    b"GNU.sparse.size",
    b"GNU.sparse.realsize",
)
#: Parts a sparse file may have.
_PARTS = 1 << 16


class _Header(msgspec.Struct):
    """What is known of the member to come, from its header and the extended ones before it."""

    name: bytes
    flag: bytes
    mode: int
    size: int
    target: bytes
    length: int = 0
    sparse: list[tuple[int, int]] | None = None


def is_header(block: bytes) -> bool:
    """Whether a block is the header of a member, by its checksum."""
    if len(block) != BLOCK or block[:1] == b"\0":
        return False
    said = _number(block[148:156])
    rest = block[:148] + b" " * 8 + block[156:]
    # Some old writers added the bytes up as signed ones.
    return said == sum(rest) or said == sum(rest) - 256 * sum(byte > 127 for byte in rest)


def read_tar(pieces: Iterator[bytes], meter: Meter) -> Iterator[Member]:
    """The members of a tar archive. Raises ``InvalidInput`` for what is none, is damaged or exceeds the limits."""
    stream = Stream(pieces, meter)
    pax_global: dict[bytes, bytes] = {}
    pax: dict[bytes, bytes] = {}
    long: dict[bytes, bytes] = {}
    first = True
    while (block := _block(stream, first, meter)) and block.strip(b"\0"):
        if not is_header(block):
            raise meter.error(UNKNOWN if first else "the tar archive is damaged (a header's checksum)")
        first = False
        header = _header(block, meter)
        if header.flag in (b"x", b"X", b"g", b"L", b"K"):
            meter.member()
            data = _extension(stream, header, meter)
            if header.flag == b"g":
                pax_global.update(_records(data, meter))
                if any(key.startswith(b"GNU.sparse.") for key in pax_global):
                    # One map for all members means nothing, and would be read anew for each of them.
                    raise meter.error("the tar archive is damaged (a sparse file in a global header)")
            elif header.flag in (b"x", b"X"):
                pax = _records(data, meter)
            else:
                long[header.flag] = data.split(b"\0", 1)[0]
            continue
        _overlay(header, {**pax_global, **pax}, long, meter)
        pax, long = {}, {}
        yield from _member(stream, header, block, meter)
    stream.drain()


def _block(stream: Stream, first: bool, meter: Meter) -> bytes:
    """The next block, empty at the end. Raises ``InvalidInput`` if only a part of it is there."""
    start = stream.some(BLOCK)
    meter.give(len(start))
    if first and not start:
        raise meter.error(UNKNOWN)
    try:
        return start + stream.exactly(BLOCK - len(start)) if start else b""
    except InvalidInput:
        if first:
            raise meter.error(UNKNOWN) from None
        raise


def _header(block: bytes, meter: Meter) -> _Header:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    size, mode = _number(block[124:136]), _number(block[100:108])
    if size is None or mode is None or size < 0:
        raise meter.error(f"the tar archive is damaged (the header of {show(name)})")
    return _Header(name, block[156:157], mode, size, block[157:257].split(b"\0", 1)[0])


def _number(field: bytes) -> int | None:
    """An octal number, or GNU's base 256; an empty field is 0; None for anything else."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (len(field) * 8 - 1)) - 1)
        return None if field[0] & 0x40 else value
    digits = field.split(b"\0", 1)[0].strip()
    return int(digits or b"0", 8) if re.fullmatch(rb"[0-7]*", digits) else None


def _extension(stream: Stream, header: _Header, meter: Meter) -> bytes:
    if header.size > HEADER_LIMIT:
        raise meter.error(
            f"an extended header has {header.size} bytes, more than the {HEADER_LIMIT} that are read"
        )
    meter.give(header.size)
    data = stream.exactly(header.size)
    stream.exactly(-header.size % BLOCK)
    return data


def _records(data: bytes, meter: Meter) -> dict[bytes, bytes]:
    """The records of a pax header (POSIX.1-2001, pax interchange format): ``LENGTH KEY=VALUE NEWLINE``.

    The records of sparse format 0.0, whose keys repeat, are joined with commas as format 0.1 has them.
    """
    records: dict[bytes, bytes] = {}
    spread: list[bytes] = []
    position = 0
    while position < len(data):
        match = _RECORD.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or end <= match.end() or end > len(data) or data[end - 1 : end] != b"\n":
            if not data[position:].strip(b"\0"):
                break
            raise meter.error("the tar archive is damaged (a pax header)")
        key, value = match[2], data[match.end() : end - 1]
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            spread.append(value)
        if key in _KEYS:
            records[key] = value
        position = end
    if spread:
        records[b"GNU.sparse.map"] = b",".join(spread)
    return records


def _overlay(header: _Header, pax: dict[bytes, bytes], long: dict[bytes, bytes], meter: Meter) -> None:
    """Put what extended headers say over what the header says."""
    name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or long.get(b"L") or header.name
    header.target = pax.get(b"linkpath") or long.get(b"K") or header.target
    if b"\0" in name:
        raise meter.error(f"the tar archive is damaged (the name {show(name)})")
    if len(name) > NAME_LIMIT or len(header.target) > NAME_LIMIT:
        raise meter.error(f"a member has a name of more than {NAME_LIMIT} bytes")
    if b"size" in pax:
        header.size = _decimal(pax[b"size"], meter)
    header.name, header.length = name, header.size
    if b"GNU.sparse.map" in pax:
        numbers = [_decimal(text, meter) for text in pax[b"GNU.sparse.map"].split(b",") if text]
        header.sparse = list(zip(numbers[::2], numbers[1::2], strict=False))
    elif pax.get(b"GNU.sparse.major") == b"1":
        header.sparse = []
    if header.sparse is not None:
        real = pax.get(b"GNU.sparse.realsize") or pax.get(b"GNU.sparse.size") or b""
        header.length = _decimal(real, meter)


def _decimal(text: bytes, meter: Meter) -> int:
    if not re.fullmatch(rb"[0-9]{1,18}", text):
        raise meter.error(f"the tar archive is damaged (the number {text[:20]!r} in a pax header)")
    return int(text)


def _member(stream: Stream, header: _Header, block: bytes, meter: Meter) -> Iterator[Member]:
    """The member of a header; reads on to the next header, whatever the taker has left."""
    meter.member()
    size = header.size
    type = _TYPES.get(header.flag, MemberType.FILE)
    if header.flag in (b"V", b"M", b"N"):
        # A volume's label, the rest of a file of another volume, an obsolete list of names: no members.
        _skip(stream, size, meter)
        return
    if type is MemberType.FILE and header.flag in (b"\0", b"0", b"7") and header.name.endswith(b"/"):
        type = MemberType.DIRECTORY
    if type is not MemberType.FILE:
        # Links carry a size in some archives, but data only where POSIX asks for it: readers skip none.
        yield Member(header.name, type, bool(header.mode & 0o100), 0, header.target)
        if header.flag in (b"0", b"7", b"D"):
            _skip(stream, size, meter)
        return
    if header.flag == b"S":
        header.sparse, header.length = _gnu_sparse(stream, block, meter)
    meter.file(header.name, max(header.length, size))
    left = size
    if header.sparse == []:
        header.sparse, used = _map_in_data(stream, meter)
        left -= used
    data = stream.pieces(max(left, 0))
    chunks = counted(data if header.sparse is None else _filled(data, header, left, meter), meter)
    yield Member(header.name, type, bool(header.mode & 0o100), header.length, b"", chunks)
    for _ in chunks:  # what the taker has left
        pass
    for _ in data:
        pass
    stream.exactly(-size % BLOCK)


def _skip(stream: Stream, size: int, meter: Meter) -> None:
    for _ in counted(stream.pieces(size + -size % BLOCK), meter):
        pass


def _gnu_sparse(stream: Stream, block: bytes, meter: Meter) -> tuple[list[tuple[int, int]], int]:
    """Parts and full length of an old GNU sparse file: four parts in the header, 21 in each block that follows."""
    fields, more, length = block[386:482], block[482], _number(block[483:495])
    parts: list[tuple[int, int]] = []
    while True:
        for start in range(0, len(fields) - 23, 24):
            offset, size = _number(fields[start : start + 12]), _number(fields[start + 12 : start + 24])
            if offset is None or size is None or len(parts) > _PARTS:
                raise meter.error("the tar archive is damaged (a sparse file)")
            if fields[start : start + 24].strip(b"\0"):
                parts.append((offset, size))
        if not more:
            break
        meter.give(BLOCK)
        extension = stream.exactly(BLOCK)
        fields, more = extension[:504], extension[504]
    if length is None:
        raise meter.error("the tar archive is damaged (a sparse file)")
    return parts, length


def _map_in_data(stream: Stream, meter: Meter) -> tuple[list[tuple[int, int]], int]:
    """Parts of a sparse file of pax format 1.0: decimal lines before the data, padded to a block; and their size."""
    text, numbers = b"", list[int]()
    used = 0
    while not numbers or len(numbers) < 1 + 2 * numbers[0]:
        meter.give(BLOCK)
        text += stream.exactly(BLOCK)
        used += BLOCK
        *lines, text = text.split(b"\n")
        numbers += [_decimal(line, meter) for line in lines if line.strip(b"\0")]
        if (numbers and numbers[0] > _PARTS) or len(text) > BLOCK:
            raise meter.error("the tar archive is damaged (a sparse file)")
    pairs = numbers[1 : 1 + 2 * numbers[0]]
    return list(zip(pairs[::2], pairs[1::2], strict=True)), used


def _filled(data: Iterator[bytes], header: _Header, left: int, meter: Meter) -> Iterator[bytes]:
    """The bytes of a sparse file, holes included. Raises ``InvalidInput`` where parts overlap or overrun."""
    position = 0
    assert header.sparse is not None
    source = Stream(data, meter)
    if sum(size for _, size in header.sparse) != left:
        raise meter.error(f"the tar archive is damaged (the sparse file {show(header.name)})")
    for offset, size in [*header.sparse, (header.length, 0)]:
        if offset < position or offset + size > header.length:
            raise meter.error(f"the tar archive is damaged (the sparse file {show(header.name)})")
        yield from _zeros(offset - position)
        yield from source.pieces(size)
        position = offset + size


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, CHUNK))
        count -= CHUNK
