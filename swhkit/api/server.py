"""Runs an application on a socket until it is told to stop.

What the HTTP parser refuses before any handler sees it (a line that is too long, a malformed header) is answered in
the API's JSON form as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from swhkit.api import errors, render
from swhkit.api.app import CLIENT, REQUEST_ID, SERVICE
from swhkit.api.gate import Gate
from swhkit.api.metrics import Metrics
from swhkit.api.requestids import CURRENT, HEADER, request_id

#: One line for each request, at level INFO.
ACCESS_LOG = logging.getLogger("swhkit.access")
#: Seconds within which the first request of a connection must have come.
FIRST_REQUEST = 60.0
#: Seconds that requests under way have when the server ends.
GRACE = 10.0
_log = logging.getLogger(__name__)
#: What stands between ``//`` and ``@`` in a URL, which may be a password; in a path it may be percent-encoded.
_PASSWORD = re.compile(
    r"((?::|%3A)(?:/|%2F){1,2})[^/@%?]*(?:%(?!2F|40)[0-9A-F]{2}[^/@%?]*)*(@|%40)", re.IGNORECASE | re.ASCII
)
_HIDDEN = r"\1***\2"


def log_accesses() -> None:
    """Have the access log written to the standard error output, each line with its time (UTC)."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    ACCESS_LOG.addHandler(handler)
    ACCESS_LOG.setLevel(logging.INFO)
    ACCESS_LOG.propagate = False


class AccessLog(AbstractAccessLogger):
    """One line for each request, of plain characters alone, and without passwords."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Who asked what, status, bytes with headers, seconds, request id. What a stranger wrote is escaped."""
        target = request.raw_path.encode("ascii", "backslashreplace").decode()
        asked = f"{request.method} {_PASSWORD.sub(_HIDDEN, target)} HTTP/{request.version.major}.{request.version.minor}"
        client, id = request.get(CLIENT, request.remote), request.get(REQUEST_ID, "-")
        length, status = response.body_length, response.status
        self.logger.info('%s "%s" %d %d %.6fs %s', client, asked, status, length, time, id)

    @property
    def enabled(self) -> bool:
        """Whether anybody reads it."""
        return self.logger.isEnabledFor(logging.INFO)


class _Protocol(web.RequestHandler):
    metrics: Metrics | None = None
    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give who connects some time to ask for something: aiohttp's own timer begins after the first answer."""
        super().connection_made(transport)
        self._slow = self._loop.call_later(FIRST_REQUEST, self.force_close)

    def data_received(self, data: bytes) -> None:
        """As aiohttp; stops the timer once there is a request."""
        super().data_received(data)
        if self._slow is not None and (self._messages or self._current_request is not None):
            self._slow.cancel()
            self._slow = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp; stops the timer."""
        super().connection_lost(exc)
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    gate: Gate | None = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """A refusal in JSON, and one line in the log rather than a traceback a scanner."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        id = request[REQUEST_ID] = request.get(REQUEST_ID) or request_id(None)
        if status >= 500:
            CURRENT.set(id)
            data = errors.failure(exc if isinstance(exc, Exception) else RuntimeError()).data
        else:
            _log.info("refused a malformed request from %s: %s", request.remote, type(exc).__name__)
            data = {"exception": "BadInputExc", "reason": "The request is malformed or too long."}
        if self.metrics is not None:
            self.metrics.malformed()
        rates = {} if self.gate is None else self.gate.headers_of(request.remote)
        response = web.Response(
            status=status,
            headers={"Server": "swhkit", "X-Content-Type-Options": "nosniff", HEADER: id, **rates},
            body=render.encoded(data, render.JSON),
            content_type=render.JSON,
        )
        response.force_close()
        return response


class _Server(web.Server):
    metrics: Metrics | None = None
    gate: Gate | None = None

    def __call__(self) -> web.RequestHandler:
        protocol = _Protocol(self, loop=self._loop, **self._kwargs)
        protocol.metrics, protocol.gate = self.metrics, self.gate
        return protocol


class Runner(web.AppRunner):
    """aiohttp's runner with our answers to malformed requests. Compressed bodies stay as they are: they are refused."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, auto_decompress=False, **options)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no setting for the protocol class of an application.
        server.__class__ = _Server
        assert isinstance(server, _Server)
        server.metrics, server.gate = self.app[SERVICE].metrics, self.app[SERVICE].gate
        return server


async def serve(
    app: web.Application,
    host: str,
    port: int,
    ready: Callable[[str], None],
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Serve ``app`` until SIGTERM or SIGINT; ``ready`` gets the URL once connections are taken, ``ending`` is called
    when it is told to stop. Both are quick.

    Requests under way have ``GRACE`` seconds to end. Raises ``OSError`` if the address cannot be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = Runner(app, access_log=ACCESS_LOG, access_log_class=AccessLog, shutdown_timeout=GRACE / 10)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        ready(_url(host, runner.addresses[0][1]))
        await stop.wait()
        ending()
        # From now on /health says so, to those who still have a connection.
        app[SERVICE].metrics.draining = True
        await site.stop()
        # aiohttp's own shutdown no longer reads, so that a body on its way would never arrive: wait before it.
        await app[SERVICE].drain(GRACE * 0.8)
    finally:
        await runner.cleanup()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on uvloop where it is installed, else on asyncio's own loop."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
