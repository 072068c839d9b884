"""Runs an application on a socket until it is told to stop.

What the HTTP parser refuses before any handler sees it (a line that is too long, a malformed header) is answered in
the API's JSON form as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from swhkit.api import errors, render
from swhkit.api.app import SERVICE

#: One line for each request, at level INFO.
ACCESS_LOG = logging.getLogger("swhkit.access")
#: Seconds that requests under way have when the server ends.
GRACE = 10.0
_log = logging.getLogger(__name__)


class AccessLog(AbstractAccessLogger):
    """One line for each request, of plain characters alone."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Who asked what, status, bytes, seconds. What a stranger wrote is escaped."""
        target = request.raw_path.encode("ascii", "backslashreplace").decode()
        asked = f"{request.method} {target} HTTP/{request.version.major}.{request.version.minor}"
        length, status = response.body_length, response.status
        self.logger.info('%s "%s" %d %d %.6fs', request.remote, asked, status, length, time)

    @property
    def enabled(self) -> bool:
        """Whether anybody reads it."""
        return self.logger.isEnabledFor(logging.INFO)


class _Protocol(web.RequestHandler):
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
        if status >= 500:
            _log.error("a request failed", exc_info=exc)
            data = errors.failure(exc if isinstance(exc, Exception) else RuntimeError()).data
        else:
            _log.info("refused a malformed request from %s: %s", request.remote, type(exc).__name__)
            data = {"exception": "BadInputExc", "reason": "The request is malformed or too long."}
        response = web.Response(
            status=status, body=render.encoded(data, render.JSON), content_type=render.JSON
        )
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our answers to malformed requests."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no setting for the protocol class of an application.
        server.__class__ = _Server
        return server


async def serve(app: web.Application, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve ``app`` until SIGTERM or SIGINT; ``ready`` gets the URL once connections are taken.

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
