"""Who asks for the same origin at the same time takes turns, in this process and in all others of this archive."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from swhkit.desk import Desk
from swhkit.files import locked, make_folder

_LOCKS = tuple(threading.Lock() for _ in range(64))
_FOLDER = "saves"


@contextmanager
def turn(desk: Desk, url: str, visit_type: str) -> Iterator[None]:
    """Nobody else decides on requests for this origin and type during the block.

    Threads of one process wait for each other without asking the disk; processes share a file lock in the folder of
    stages. Others may have to wait that have nothing to do with it: there are 64 locks for all origins.
    """
    number = zlib.crc32(f"{visit_type} {url}".encode("utf-8", "surrogateescape")) % len(_LOCKS)
    with ExitStack() as stack:
        stack.enter_context(_LOCKS[number])
        if desk.archive.stage is not None:
            folder = desk.archive.stage / _FOLDER
            make_folder(folder, 0o700)
            stack.enter_context(locked(folder / str(number)))
        yield
