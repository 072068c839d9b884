"""One file from the web to the disk, byte for byte."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from email.message import Message
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from swhkit.errors import InvalidInput, LimitExceeded, Unavailable
from swhkit.http.answer import Answer, Patience, Torn, plain_url
from swhkit.http.client import fetch, may_wait, pause
from swhkit.http.ftp import ftp_pieces
from swhkit.net import Network, Target
from swhkit.text import clean_text

_LOG = logging.getLogger(__name__)
_NOTHING: Mapping[str, str] = {}


class Hash(Protocol):
    """What ``hashlib`` makes."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Downloaded(msgspec.Struct, frozen=True):
    """A file that has come whole: ``length`` bytes at ``path``, from ``url`` (after redirects, without credentials).

    What the server said of it is None where it said nothing. ``filename`` is a name without folders: the server's
    own (Content-Disposition), else the last segment of the URL; it may be empty.
    """

    path: Path
    length: int
    url: str
    filename: str
    etag: str | None = None
    last_modified: str | None = None
    content_type: str | None = None


def download(
    network: Network,
    url: str | Target,
    file: Path,
    *,
    limit: int,
    limit_name: str = "limits.max_pack_size",
    deadline: float | None = None,
    headers: Mapping[str, str] = _NOTHING,
    checksums: Mapping[str, str] = _NOTHING,
    tell: Callable[[int], None] = lambda _: None,
    patience: Patience = Patience(),  # noqa: B008 (frozen)
) -> Downloaded:
    """Bring what is at ``url`` (http, https, ftp) into ``file``, which is made or overwritten.

    At most ``limit`` bytes; ``limit_name`` is the setting that says so. ``checksums``: algorithms as ``hashlib`` names
    them, and the expected hexadecimal digests. ``tell`` is told how many bytes have come. What breaks off is begun
    again, from its first byte. ``deadline`` and ``headers``: see ``fetch``.

    Raises ``NotFound`` (also for what not everybody may read), ``Unavailable`` (also for a wrong checksum),
    ``LimitExceeded``, ``InvalidUrl``; ``InvalidInput`` for an unknown algorithm; ``OSError`` of the disk. What is
    then in ``file`` is of no use.
    """
    target = network.check(url) if isinstance(url, str) else url
    for algorithm in checksums:
        if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
            raise InvalidInput(
                f"{plain_url(target.url)}: {algorithm!r} is no checksum's name that is known here"
            )
    attempt = 0
    while True:
        attempt += 1
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in checksums}
        writer = _Writer(file, hashes, tell)
        try:
            if target.scheme == "ftp":
                found = _by_ftp(target, writer, limit, limit_name, deadline)
            else:
                with fetch(network, target, headers=headers, deadline=deadline, patience=patience) as answer:
                    found = _by_http(answer, writer, limit, limit_name)
            break
        except Torn as error:
            wait = pause(attempt, patience)
            if wait is None or not may_wait(wait, deadline):
                raise
            _LOG.info("%s: asking again in %.0f s", error, wait)
        time.sleep(wait)
    for name, value in hashes.items():
        if value.hexdigest() != checksums[name].lower():
            raise Unavailable(
                f"{found.url}: what came has the {name} {value.hexdigest()}, expected was {checksums[name]}"
            )
    return found


class _Writer:
    """Takes pieces to a file."""

    def __init__(self, file: Path, hashes: Mapping[str, Hash], tell: Callable[[int], None]) -> None:
        self.file, self._hashes, self._tell = file, hashes, tell

    def write(self, pieces: Iterable[bytes]) -> int:
        """Write all of the pieces; how many bytes these were."""
        size = 0
        with self.file.open("wb") as output:
            for piece in pieces:
                output.write(piece)
                size += len(piece)
                for each in self._hashes.values():
                    each.update(piece)
                self._tell(size)
        return size


def _by_http(answer: Answer, writer: _Writer, limit: int, limit_name: str) -> Downloaded:
    answer.check()
    if answer.status not in (200, 203):
        raise Unavailable(f"{answer.url}: the server answers {answer.status}, which is not the whole file")
    length = writer.write(answer.pieces(limit, limit_name))
    told = answer.headers.get
    return Downloaded(
        path=writer.file,
        length=length,
        url=answer.url,
        filename=_filename(told("Content-Disposition"), answer.url),
        etag=told("ETag"),
        last_modified=told("Last-Modified"),
        content_type=told("Content-Type"),
    )


def _by_ftp(
    target: Target, writer: _Writer, limit: int, limit_name: str, deadline: float | None
) -> Downloaded:
    url = plain_url(target.url)
    with closing(ftp_pieces(target, deadline)) as pieces:
        length = writer.write(
            _limited(pieces, limit, f"{url}: the file is larger than {limit} bytes ({limit_name})")
        )
    return Downloaded(path=writer.file, length=length, url=url, filename=_filename(None, url))


def _limited(pieces: Iterable[bytes], limit: int, words: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise LimitExceeded(words)
        yield piece


def _filename(disposition: str | None, url: str) -> str:
    """The name a file has by its server (RFC 6266) or by its URL; no folder, no control character."""
    message = Message()
    message["Content-Disposition"] = disposition or "attachment"
    try:
        name = message.get_filename()
    except (ValueError, LookupError):
        name = None
    name = name or unquote(urlsplit(url).path.rpartition("/")[2])
    name = clean_text(name.encode("utf-8", "replace")).replace("\\", "/").rpartition("/")[2]
    name = name.replace("\n", " ").replace("\t", " ").strip()[:255]
    return "" if name in (".", "..") else name
