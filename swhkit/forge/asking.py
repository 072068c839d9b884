"""One question to a forge: asked again while its server is in trouble, put off while it wants to be left alone."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from swhkit.errors import InvalidUrl, LimitExceeded, NotFound, Unavailable
from swhkit.forge.waiting import refused_for, until_reset
from swhkit.http import Answer, Patience, fetch
from swhkit.http.answer import BUSY, Broken, plain_url
from swhkit.http.client import may_wait, pause, same_server
from swhkit.net import Network, Target

_ONCE = Patience(attempts=1)


class ForgeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a forge may take. ``page_size``: bytes of one answer; ``kept_size``: bytes of one that is remembered; ``pages``
    of one listing; ``longest_wait``: seconds to wait for a forge before it is given up for now; ``patience`` with servers
    that are in trouble."""

    page_size: int = 32 << 20
    kept_size: int = 4 << 20
    pages: int = 200_000
    longest_wait: float = 60.0
    patience: Patience = Patience()


class Reply(msgspec.Struct, frozen=True):
    """An answer that has come whole, with the names of its ``headers`` in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def framed(self) -> bool:
        """Whether its end could be told, so that it is known to be whole."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers


class Asker:
    """Makes requests, one after the other. ``deadline`` is a ``time.monotonic()``; ``now`` gives the Unix time."""

    def __init__(
        self,
        network: Network,
        *,
        deadline: float | None,
        log: logging.Logger,
        limits: ForgeLimits,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.network, self.limits = network, limits
        self._deadline, self._log, self._sleep, self._now = deadline, log, sleep, now
        #: The Unix time before which there must be no other request: the forge has said that none is left.
        self._not_before = 0.0

    def ask(self, url: str, headers: Mapping[str, str]) -> Reply:
        """The answer to a request: 2xx or 304. Raises ``NotFound`` for 404 and 410, ``Unavailable`` for all else."""
        shown = plain_url(url)
        for attempt in itertools.count(1):
            self._wait_for_allowance(shown)
            try:
                reply = self._once(url, headers)
            except Broken as error:
                self._pause(attempt, str(error), error)
                continue
            now = self._now()
            self._not_before = max(self._not_before, now + (until_reset(reply.headers, now) or 0.0))
            wait = refused_for(reply.status, reply.headers, reply.body, now)
            said = f"{shown}: the forge answers {reply.status} {reply.reason}".rstrip()
            if wait is not None:
                self._not_before = max(self._not_before, now + wait)
                if attempt >= self.limits.patience.attempts:
                    raise Unavailable(f"{said}: it wants to be left alone for {wait:.0f} s", wait)
            elif reply.status in BUSY:
                self._pause(attempt, said, None)
            else:
                _check(reply.status, said)
                return reply
        raise AssertionError("one attempt is the last")

    def _once(self, url: str, headers: Mapping[str, str]) -> Reply:
        try:
            with fetch(self.network, url, headers=headers, deadline=self._deadline, patience=_ONCE) as answer:
                self._check_server(url, answer.target)
                return _reply(answer, self.limits.page_size)
        except (InvalidUrl, LimitExceeded) as error:
            raise Unavailable(str(error)) from error

    def _check_server(self, url: str, target: Target) -> None:
        asked = self.network.check(url, resolve=False)
        if not same_server(asked, target):
            raise Unavailable(
                f"{plain_url(url)}: redirected to another server ({plain_url(target.url)[:300]}); use its URL"
            )

    def _wait_for_allowance(self, shown: str) -> None:
        """Wait until another request is allowed. Raises ``Unavailable`` if that takes too long."""
        wait = self._not_before - self._now()
        if wait <= 0:
            return
        if wait > self.limits.longest_wait or not may_wait(wait, self._deadline):
            raise Unavailable(f"{shown}: the forge wants to be left alone for {wait:.0f} s", wait)
        self._log.info("%s: the forge wants to be left alone; asking in %.0f s", shown, wait)
        self._sleep(wait)

    def _pause(self, attempt: int, said: str, cause: Exception | None) -> None:
        """Wait before another attempt. Raises ``Unavailable`` if there is to be none."""
        wait = pause(attempt, self.limits.patience)
        if wait is None or not may_wait(wait, self._deadline):
            raise Unavailable(said) from cause
        self._log.info("%s: asking again in %.0f s", said, wait)
        self._sleep(wait)


def _reply(answer: Answer, limit: int) -> Reply:
    headers = {name.lower(): ", ".join(answer.headers.get_all(name, [])) for name in answer.headers}
    return Reply(answer.status, answer.reason, headers, answer.whole(limit, "the limit for one page"))


def _check(status: int, said: str) -> None:
    if status in (404, 410):
        raise NotFound(f"{said}: it is not there, or not for everybody")
    if status in (401, 403):
        raise Unavailable(f"{said}: it does not let us read this (does it need a token, or another one?)")
    if status != 304 and not 200 <= status < 300:
        raise Unavailable(said)
