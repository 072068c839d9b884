"""The child that reads archives with libarchive: a program, never imported. See ``foreign``, which starts it and reads
what it writes; it knows nothing of swhkit.

Its one argument is the number of a descriptor with the archive. What it may take is bounded before the first byte is
read. It enables no form or compression for which libarchive would start other programs.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import resource
import stat
import struct
import sys
from collections.abc import Iterator
from typing import Any

_FRAME, _MEMBER = struct.Struct("<cI"), struct.Struct("<BBqI")
_FORMATS = ("7zip", "ar", "cab", "cpio", "iso9660", "lha", "rar", "rar5", "tar", "xar")
_FILTERS = ("none", "bzip2", "compress", "gzip", "lz4", "lzip", "lzma", "rpm", "xz", "zstd")
_MEMORY, _SECONDS = 1 << 30, 3600
_PIECE, _NAME = 1 << 18, 1 << 16
_FILE, _FOLDER, _LINK, _HARD, _SPECIAL = range(5)
_MISSING = (
    "reading archives of this form needs libarchive: install it (pip install 'swhkit[archives]', Debian: apt install"
    " libarchive13)"
)
_PR_SET_NO_NEW_PRIVS = 38


class Refused(Exception):
    """The archive cannot be read; the text says why."""


def main(handle: int) -> None:
    """Write the members of the archive at a descriptor to stdout."""
    try:
        ffi = _library()
    except (ImportError, OSError, AttributeError, TypeError):
        _frame(b"N", _MISSING.encode("ascii"))
        return
    _confine()
    try:
        _read(ffi, handle)
        _frame(b"E")
    except Refused as error:
        _frame(b"X", str(error).encode("utf-8", "replace"))
    except ffi.ArchiveError as error:
        _frame(
            b"X",
            f"the archive is damaged, or of a kind that cannot be read ({error})".encode("utf-8", "replace"),
        )
    except MemoryError:
        _frame(b"X", b"unpacking it needs more memory than it may have")
    sys.stdout.flush()


def _library() -> Any:
    from libarchive import ffi

    for name in ("entry_is_encrypted", "entry_size_is_set"):
        getattr(ffi.libarchive, f"archive_{name}").argtypes = [ctypes.c_void_p]
    return ffi


def _confine() -> None:
    """From here on: so much memory and time, no file written, no program started."""
    for limit, value in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        hard = resource.getrlimit(limit)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (most, most))
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _read(ffi: Any, handle: int) -> None:
    archive = ffi.read_new()
    for name in _FILTERS:
        ffi.get_read_filter_function(name)(archive)
    for name in _FORMATS:
        ffi.get_read_format_function(name)(archive)
    ffi.read_open_fd(archive, handle, _PIECE)
    entry = ctypes.c_void_p()
    while ffi.read_next_header(archive, ctypes.byref(entry)) != ffi.ARCHIVE_EOF:
        _member(ffi, archive, entry)


def _member(ffi: Any, archive: Any, entry: Any) -> None:
    name = ffi.entry_pathname(entry)
    if name is None:
        raise Refused("the name of a member cannot be told")
    if ffi.libarchive.archive_entry_is_encrypted(entry):
        raise Refused(f"the member {ascii(os.fsdecode(name))[:200]} is encrypted")
    mode, hard = ffi.entry_filetype(entry), ffi.entry_hardlink(entry)
    has_size = ffi.libarchive.archive_entry_size_is_set(entry)
    size = ffi.entry_size(entry) if has_size else -1
    executable = bool(ffi.entry_mode(entry) & stat.S_IXUSR)
    if hard is not None:
        _announce(_HARD, executable, 0, name, hard)
        # In cpio one of the names of a file has its bytes, and it may be any; in xar all have its length.
        pieces = _pieces(ffi, archive) if size > 0 else iter(())
        if first := next(pieces, None):
            _announce(_FILE, executable, size, name)
            _data(itertools.chain([first], pieces))
    elif mode == stat.S_IFDIR:
        _announce(_FOLDER, executable, 0, name)
    elif mode == stat.S_IFLNK:
        _announce(_LINK, executable, 0, name, ffi.entry_symlink(entry) or b"")
    elif mode not in (stat.S_IFREG, 0):
        _announce(_SPECIAL, executable, 0, name)
    elif size < 0:
        raise Refused(f"the length of {ascii(os.fsdecode(name))[:200]} cannot be told")
    else:
        _announce(_FILE, executable, size, name)
        _data(_pieces(ffi, archive))


def _data(pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        _frame(b"D", piece)
    _frame(b"D")


def _pieces(ffi: Any, archive: Any) -> Iterator[bytes]:
    """The bytes of the member at hand, holes filled."""
    block, size, offset, position = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_longlong(), 0
    # In xar libarchive (3.6.2) counts the offsets on from one member to the next; holes it does not have.
    dense = ffi.format_name(archive) == b"xar"
    while ffi.read_data_block(archive, *map(ctypes.byref, (block, size, offset))) != ffi.ARCHIVE_EOF:
        while not dense and position < offset.value:
            hole = min(offset.value - position, _PIECE)
            yield bytes(hole)
            position += hole
        for start in range(0, size.value, _PIECE):
            yield ctypes.string_at((block.value or 0) + start, min(size.value - start, _PIECE))
        position += size.value


def _announce(type: int, executable: bool, size: int, name: bytes, target: bytes = b"") -> None:
    if len(name) > _NAME or len(target) > _NAME:
        raise Refused(f"a member has a name of more than {_NAME} bytes")
    _frame(b"M", _MEMBER.pack(type, executable, size, len(name)) + name + target)


def _frame(letter: bytes, body: Any = b"") -> None:
    sys.stdout.buffer.write(_FRAME.pack(letter, len(body)))
    sys.stdout.buffer.write(body)


if __name__ == "__main__":
    main(int(sys.argv[1]))
