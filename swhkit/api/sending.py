"""Answers on their way out: small ones whole, large ones piece by piece with their length announced.

If bytes turn out to be damaged on the way, the connection is cut, so that nobody has a whole wrong body.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec
from aiohttp import web

from swhkit.api import errors
from swhkit.api.answers import Blob
from swhkit.api.threads import Threads
from swhkit.errors import Corrupt
from swhkit.query import Pieces

_log = logging.getLogger(__name__)

#: Seconds that a client may take for one part of an answer.
PATIENCE = 60.0
_PART = 1 << 16
#: Files up to so many bytes are read whole before they are sent.
_SMALL = 1 << 18


class Ready(msgspec.Struct, frozen=True):
    """An answer on its way out: bytes at once, or ``blob`` to be sent in pieces."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    blob: Blob | None = None


def sendable(blob: Blob) -> Ready:
    """In a thread: a small file is read here and now, so that damage is an answer of its own and one hop does."""
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": blob.disposition}
    if blob.length > _SMALL:
        return Ready(200, headers, blob=blob)
    data = bytearray()
    with contextlib.closing(blob.pieces):
        for piece in blob.pieces:
            data += piece
            if len(data) > blob.length:
                break
    if len(data) != blob.length:
        raise Corrupt(f"{blob.length} bytes were to be sent, the store has {len(data)}; run `swhkit check`")
    return Ready(200, headers, bytes(data))


async def send(
    request: web.Request, blob: Blob, headers: dict[str, str], threads: Threads
) -> web.StreamResponse:
    """Send a large file. Damage on the way cuts the connection: headers are out, so the only honest answer left is a
    body that is visibly cut short."""
    headers = {**headers, "Content-Length": str(blob.length)}
    try:
        if request.method == "HEAD":
            return web.Response(headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await _stream(response, blob, threads)
        return response
    except Exception as error:  # noqa: BLE001
        if not isinstance(error, ConnectionError):
            _log.error("%s was cut short: %s", errors.clean(request.path), error)
        _abort(request)
        return response
    finally:
        threads.send(blob.pieces.close)


async def _stream(response: web.StreamResponse, blob: Blob, threads: Threads) -> None:
    """Send the pieces. The last one goes out only after the store has said that there is no more, and no error:
    until then the client has less than was announced."""
    came, held = 0, b""
    while piece := await threads.call(_next_piece, blob.pieces):
        came += len(piece)
        if came > blob.length:
            raise ValueError(f"more than the {blob.length} bytes announced came")
        await _write(response, held)
        held = piece
    if came != blob.length:
        raise ValueError(f"{blob.length} bytes were announced, {came} came")
    await _write(response, held)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    # In small parts, so that a slow client has its time for each of them.
    for start in range(0, len(data), _PART):
        async with asyncio.timeout(PATIENCE):
            await response.write(data[start : start + _PART])


def _next_piece(pieces: Pieces) -> bytes:
    return next((piece for piece in pieces if piece), b"")


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
