"""Answers on their way out: small ones whole, large ones piece by piece with their length announced.

If bytes turn out to be damaged on the way, the connection is cut, so that nobody has a whole wrong body. That holds for
a part of a file, too: its last piece goes out only once the whole file has been read and agrees with its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from swhkit.api import errors
from swhkit.api.answers import Blob
from swhkit.api.conditions import Conditions, Unsatisfiable, byte_range, unchanged
from swhkit.api.requestids import CURRENT
from swhkit.api.threads import Threads
from swhkit.errors import Corrupt
from swhkit.query import Pieces

_log = logging.getLogger(__name__)

#: Seconds that a client may take for one part of an answer.
PATIENCE = 60.0
_PART = 1 << 16
#: Files up to so many bytes are read whole before they are sent.
_SMALL = 1 << 18
#: Bytes under an id never change, nor does anything about them.
FOREVER = "max-age=31536000, immutable"
#: Everything else may: links have the host's name, an object may gain metadata. A copy is good once we say so.
REVALIDATE = "no-cache"


class Ready(msgspec.Struct, frozen=True):
    """An answer on its way out: bytes at once, or the bytes ``first`` to ``last`` of ``blob`` to be sent in pieces."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    blob: Blob | None = None
    first: int = 0
    last: int = 0


def sendable(blob: Blob, asked: Conditions, method: str = "GET") -> Ready:
    """In a thread: a small file is read here and now, so that damage is an answer of its own and one hop does."""
    etag = None if blob.etag is None else f'"{blob.etag}"'
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": blob.disposition,
        "Accept-Ranges": "bytes",
        **({} if etag is None else {"ETag": etag, "Cache-Control": FOREVER}),
    }
    if unchanged(asked, etag):
        blob.pieces.close()
        return _not_modified(headers)
    try:
        # Only a GET has parts (RFC 9110, 14.2).
        part = byte_range(asked, blob.length, etag) if method == "GET" else None
    except Unsatisfiable:
        blob.pieces.close()
        return _unsatisfiable(blob.length)
    first, last = (0, blob.length - 1) if part is None else part
    if part is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{blob.length}"
    status = 200 if part is None else 206
    if blob.length > _SMALL:
        return Ready(status, headers, blob=blob, first=first, last=last)
    return Ready(status, headers, _whole(blob)[first : last + 1])


def revalidated(ready: Ready, asked: Conditions) -> Ready:
    """An answer made of data with a tag of its bytes, or 304 if the client has just these.

    The tag is of the representation: another format, other fields or another host give another.
    """
    tag = f'"{hashlib.blake2b(ready.body, digest_size=16).hexdigest()}"'
    ready.headers.setdefault("Cache-Control", REVALIDATE)
    if "no-store" in ready.headers["Cache-Control"]:
        return ready
    ready.headers["ETag"] = tag
    return _not_modified(ready.headers) if unchanged(asked, tag) else ready


def _not_modified(headers: Mapping[str, str]) -> Ready:
    kept = ("ETag", "Cache-Control", "Link", "X-Total-Count")
    return Ready(304, {name: headers[name] for name in kept if name in headers})


def _unsatisfiable(length: int) -> Ready:
    reason = f"The range begins behind the end: there are {length} bytes."
    data = {"exception": "RangeNotSatisfiable", "reason": reason}
    headers = {"Content-Type": "application/json", "Content-Range": f"bytes */{length}"}
    return Ready(416, headers, msgspec.json.encode(data))


def _whole(blob: Blob) -> bytes:
    data = bytearray()
    with contextlib.closing(blob.pieces):
        for piece in blob.pieces:
            data += piece
            if len(data) > blob.length:
                break
    if len(data) != blob.length:
        raise Corrupt(f"{blob.length} bytes were to be sent, the store has {len(data)}; run `swhkit check`")
    return bytes(data)


async def send(
    request: web.Request, ready: Ready, headers: dict[str, str], threads: Threads, sent: Callable[[int], None]
) -> web.StreamResponse:
    """Send a large file or part of one, telling ``sent`` how many bytes went out. Damage on the way cuts the
    connection: headers are out, so the only honest answer left is a body that is visibly cut short."""
    blob = ready.blob
    assert blob is not None
    headers = {**headers, "Content-Length": str(ready.last + 1 - ready.first)}
    response = web.StreamResponse(status=ready.status, headers=headers)
    try:
        if request.method == "HEAD":
            return web.Response(status=ready.status, headers=headers)
        await response.prepare(request)
        await _stream(response, ready, blob, threads, sent)
        return response
    except Exception as error:  # noqa: BLE001
        if not isinstance(error, ConnectionError):
            _log.error("request %s: %s was cut short: %s", CURRENT.get(), errors.clean(request.path), error)
        _abort(request)
        return response
    finally:
        threads.send(blob.pieces.close)


async def _stream(
    response: web.StreamResponse, ready: Ready, blob: Blob, threads: Threads, sent: Callable[[int], None]
) -> None:
    """Send what was asked for of the pieces. The last of it goes out only after the store has said that there is no
    more, and no error: until then the client has less than was announced."""
    came, held = 0, b""
    while piece := await threads.call(_next_piece, blob.pieces):
        wanted = piece[max(ready.first - came, 0) : max(ready.last + 1 - came, 0)]
        came += len(piece)
        if came > blob.length:
            raise ValueError(f"more than the {blob.length} bytes announced came")
        if wanted:
            await _write(response, held, sent)
            held = wanted
    if came != blob.length:
        raise ValueError(f"{blob.length} bytes were announced, {came} came")
    await _write(response, held, sent)


async def _write(response: web.StreamResponse, data: bytes, sent: Callable[[int], None]) -> None:
    # In small parts, so that a slow client has its time for each of them.
    for start in range(0, len(data), _PART):
        async with asyncio.timeout(PATIENCE):
            await response.write(data[start : start + _PART])
        sent(len(data[start : start + _PART]))


def _next_piece(pieces: Pieces) -> bytes:
    return next((piece for piece in pieces if piece), b"")


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
