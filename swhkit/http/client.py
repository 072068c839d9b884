"""Requests: connections to judged addresses, redirects, and what is tried again."""

from __future__ import annotations

import base64
import http.client
import logging
import random
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from swhkit.errors import InvalidUrl, Unavailable
from swhkit.http.answer import BUSY, Answer, Broken, Patience, encoded, plain_url, reason_of
from swhkit.http.wire import wire
from swhkit.net import Network, Target, port_of

REDIRECTS = 5
_LOG = logging.getLogger(__name__)
_AGENT = "swhkit"
#: Headers that say nothing of who asks: only they follow a redirect to another server.
HARMLESS = {"accept", "git-protocol", "if-modified-since", "if-none-match", "range", "user-agent"}
_NO_HEADERS: Mapping[str, str] = {}


@contextmanager
def fetch(
    network: Network,
    url: str | Target,
    *,
    method: Literal["GET", "HEAD"] = "GET",
    headers: Mapping[str, str] = _NO_HEADERS,
    deadline: float | None = None,
    follow: bool = True,
    patience: Patience = Patience(),  # noqa: B008 (frozen)
) -> Iterator[Answer]:
    """The answer to a request, of any status (``Answer.check`` judges it); its body is still to be read.

    ``url``: http or https; a text is judged by ``network``, a ``Target`` was. User name and password in it are sent
    (basic authentication). ``headers`` are added; of these only harmless ones go along to another server. A
    conditional request is made by ``If-None-Match`` and answered by 304. At the ``deadline`` (``time.monotonic()``)
    the answer breaks off. ``follow``: at most ``REDIRECTS`` redirects, each judged; without it they are answers.

    Raises ``InvalidUrl``; ``Unavailable`` if there is no answer, or it leads to where we may not go.
    """
    target = network.check(url) if isinstance(url, str) else url
    if target.scheme not in ("http", "https"):
        raise InvalidUrl(f"{plain_url(target.url)}: only http and https can be asked")
    for attempt in range(1, patience.attempts + 1):
        began = False
        try:
            with _followed(network, target, method, headers, deadline, follow) as answer:
                wait = wait_for(answer, attempt, patience) if answer.status in BUSY else None
                if wait is None or not may_wait(wait, deadline):
                    began = True
                    yield answer
                    return
        except Broken as error:
            wait = pause(attempt, patience)
            if began or wait is None or not may_wait(wait, deadline):
                raise
            _LOG.info("%s: asking again in %.0f s", error, wait)
        time.sleep(wait)


def pause(attempt: int, patience: Patience) -> float | None:
    """Seconds to wait after an attempt (1 for the first) that has failed; None if there is to be no other."""
    if attempt >= patience.attempts:
        return None
    return patience.wait * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)


def wait_for(answer: Answer, attempt: int, patience: Patience) -> float | None:
    """As ``pause``, for an answer that may say itself when to come back."""
    usual = pause(attempt, patience)
    asked = answer.retry_after
    if usual is None or asked is None:
        return usual
    return max(asked, usual) if asked <= patience.longest else None


def may_wait(wait: float, deadline: float | None) -> bool:
    """Whether so many seconds are left."""
    return deadline is None or time.monotonic() + wait < deadline


@contextmanager
def _followed(
    network: Network,
    target: Target,
    method: str,
    headers: Mapping[str, str],
    deadline: float | None,
    follow: bool,
) -> Iterator[Answer]:
    first = target
    for _ in range(REDIRECTS + 1):
        if target is not first and not same_server(first, target):
            headers = {name: value for name, value in headers.items() if name.lower() in HARMLESS}
        with _asked(target, method, headers, deadline) as answer:
            location = answer.location if follow else None
            if location is None:
                yield answer
                return
        target = judge_redirect(network, target, location)
    raise Unavailable(f"{plain_url(first.url)}: more than {REDIRECTS} redirects; use the URL they lead to")


@contextmanager
def _asked(
    target: Target, method: str, headers: Mapping[str, str], deadline: float | None
) -> Iterator[Answer]:
    parts = urlsplit(target.url)
    path = encoded(((parts.path or "/") + (f"?{parts.query}" if parts.query else "")).encode())
    given = {
        "User-Agent": _AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        **_credentials(parts.netloc),
        **headers,
    }
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(wire(target, deadline))
            connection.request(method, path, headers=given)
            response = stack.enter_context(closing(connection.getresponse()))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _no_answer(target, error) from error
        yield Answer(response, target, connection)


def _no_answer(target: Target, error: Exception) -> Unavailable:
    kind = Unavailable if isinstance(error, ssl.SSLCertVerificationError) else Broken
    return kind(f"{plain_url(target.url)}: there is no answer ({reason_of(error)})")


def judge_redirect(network: Network, target: Target, url: str) -> Target:
    """``url``, where ``target`` has redirected us to, checked as what it is: an address that a server gave and not
    the person who asked. Except where the server sends us to itself: what the person may visit it may name.

    Credentials go along to the same server alone. Raises ``Unavailable``.
    """
    shown = plain_url(target.url)
    if not url.startswith(("http:", "https:")):
        raise Unavailable(f"{shown}: redirected to where no web server is ({plain_url(url)[:300]!r})")
    if target.scheme == "https" and not url.startswith("https:"):
        raise Unavailable(f"{shown}: redirected from https to plain http, which is not followed")
    try:
        found = network.check(url, resolve=False) if network.from_cli else None
        if found is None or found.host != target.host or found.port not in (target.port, None):
            found = network.with_cli(False).check(url)
    except InvalidUrl as error:
        raise Unavailable(f"{shown}: redirected to where this archive may not go ({error})") from error
    return _with_credentials(found, target)


def same_server(one: Target, other: Target) -> bool:
    """Whether two targets are of one scheme, host and port."""
    return one.scheme == other.scheme and (one.host, port_of(one)) == (other.host, port_of(other))


def _with_credentials(found: Target, before: Target) -> Target:
    userinfo, at, _ = urlsplit(before.url).netloc.rpartition("@")
    if not at or "@" in urlsplit(found.url).netloc or not same_server(found, before):
        return found
    return msgspec.structs.replace(found, url=found.url.replace("://", f"://{userinfo}@", 1))


def _credentials(netloc: str) -> dict[str, str]:
    userinfo, at, _ = netloc.rpartition("@")
    if not at:
        return {}
    name, _, password = userinfo.partition(":")
    plain = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return {"Authorization": f"Basic {base64.b64encode(plain).decode('ascii')}"}
