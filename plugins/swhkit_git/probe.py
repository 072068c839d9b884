"""Asks a web server what git cannot tell us: where it redirects to, and whether it has a bundle there.

Git can follow redirects by itself, or not at all; it cannot ask us in between. So it is told not to, and when it
meets one, the same request is made here once, to the address that was checked, and only its head is read. A bundle
on a web server git 2.39 reads only as a file, so that is fetched here too.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from swhkit.plugin import InvalidUrl, LimitExceeded, Network, Target, Unavailable, without_secrets

REDIRECTS = 5

_SUFFIX = "/info/refs"
_QUERY = "service=git-upload-pack"
_SECONDS = 60.0
_CODES = (301, 302, 303, 307, 308)
_BUNDLES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
_PIECE = 1 << 18


class _Pinned(http.client.HTTPConnection):
    """A connection to the first of a target's checked addresses that answers; by name where none was resolved."""

    def __init__(self, target: Target) -> None:
        self.default_port = 443 if target.scheme == "https" else 80
        super().__init__(target.host or "", target.port or self.default_port, timeout=_SECONDS)
        self._places = target.addresses or (self.host,)
        self._tls = ssl.create_default_context() if target.scheme == "https" else None
        self._wire: socket.socket | None = None
        self._late = False

    def connect(self) -> None:
        errors: list[OSError] = []
        for place in self._places:
            try:
                connection = socket.create_connection((place, self.port), self.timeout)
                break
            except OSError as error:
                errors.append(error)
        else:
            raise errors[0]
        self.sock = self._wire = connection
        if self._late:
            raise TimeoutError("its time was up")
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(connection, server_hostname=self.host)
        self._wire = self.sock  # ``sock`` is forgotten as soon as an answer without a length begins

    def cut(self) -> None:
        """Let go whoever reads; may be called from another thread."""
        self._late = True
        if self._wire is not None:
            with suppress(OSError):  # it may be closed
                self._wire.shutdown(socket.SHUT_RDWR)


@contextmanager
def _answer(
    target: Target, path: str, headers: Mapping[str, str], deadline: float | None
) -> Iterator[http.client.HTTPResponse]:
    """The answer to one GET; its body is still to be read. At the ``deadline`` (``time.monotonic()``) it breaks off,
    however slowly the server drips.

    Raises ``OSError``, ``http.client.HTTPException``, ``ValueError``.
    """
    connection = _Pinned(target)
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    alarm = threading.Timer(left or 0.0, connection.cut)
    alarm.daemon = True
    try:
        if left is not None:
            alarm.start()
        connection.request("GET", path, headers={"User-Agent": "git/2 (swhkit)", "Accept": "*/*", **headers})
        yield connection.getresponse()
    finally:
        alarm.cancel()
        connection.close()


def redirected(network: Network, target: Target, deadline: float | None = None) -> Target:
    """Where the repository at ``target`` is redirected to, checked.

    Raises ``Unavailable`` if that cannot be told, is no repository's address, or is where we may not go.
    """
    location = _location(target, deadline)
    parts = urlsplit(urljoin(f"{target.url.rstrip('/')}{_SUFFIX}?{_QUERY}", location))
    shown = without_secrets(target.url)
    if parts.scheme not in ("http", "https") or not parts.path.endswith(_SUFFIX) or parts.query != _QUERY:
        raise Unavailable(f"{shown}: redirected to {location[:300]!r}, which is no git repository's address")
    return _judge(
        network,
        target,
        parts._replace(path=parts.path.removesuffix(_SUFFIX), query="", fragment="").geturl(),
    )


def _judge(network: Network, target: Target, url: str) -> Target:
    """``url`` checked as what it is, an address that a server gave and not the person who asked.

    Except where the server sends us to itself: then what the person may visit it may name.
    """
    shown = without_secrets(target.url)
    if target.scheme == "https" and not url.startswith("https:"):
        raise Unavailable(f"{shown}: redirected from https to plain http, which is not followed")
    try:
        found = network.check(url, resolve=False) if network.from_cli else None
        if found and found.host == target.host and found.port in (target.port, None):
            return found
        return network.with_cli(False).check(url)
    except InvalidUrl as error:
        raise Unavailable(f"{shown}: redirected to where this archive may not go ({error})") from error


def _location(target: Target, deadline: float | None) -> str:
    path = urlsplit(target.url).path.rstrip("/")
    shown = without_secrets(target.url)
    try:
        with _answer(target, f"{path}{_SUFFIX}?{_QUERY}", {"Git-Protocol": "version=2"}, deadline) as answer:
            location = answer.getheader("Location") or ""
            if answer.status not in _CODES or not location:
                raise Unavailable(f"{shown}: the server first redirects, then answers {answer.status}")
            return location
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unavailable(f"{shown}: cannot tell where it is redirected to ({error})") from error


def download_bundle(
    network: Network,
    target: Target,
    file: Path,
    limit: int,
    deadline: float | None,
    tell: Callable[[int], None],
) -> bool:
    """Whether a bundle is what a web server gives for ``target``; then it is in ``file``, of ``limit`` bytes at most.

    Redirects are followed, each checked. ``tell`` is told how many bytes have come. Raises ``Unavailable`` when it
    breaks off or leads to where we may not go, ``LimitExceeded``.
    """
    for _ in range(REDIRECTS + 1):
        parts = urlsplit(target.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with _answer(target, path, _credentials(parts.netloc), deadline) as answer:
                location = answer.getheader("Location") if answer.status in _CODES else None
                if location is None:
                    return answer.status == 200 and _save_bundle(answer, target.url, file, limit, tell)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"{without_secrets(target.url)}: the bundle has not come ({error})") from error
        url = urljoin(target.url, location)
        if urlsplit(url).scheme not in ("http", "https"):
            raise Unavailable(
                f"{without_secrets(target.url)}: redirected to {location[:300]!r}, which is no bundle"
            )
        target = _judge(network, target, url)
    raise Unavailable(
        f"{without_secrets(target.url)}: more than {REDIRECTS} redirects; use the URL they lead to"
    )


def _credentials(netloc: str) -> dict[str, str]:
    userinfo, at, _ = netloc.rpartition("@")
    if not at:
        return {}
    name, _, password = userinfo.partition(":")
    plain = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return {"Authorization": f"Basic {base64.b64encode(plain).decode('ascii')}"}


def _save_bundle(
    answer: http.client.HTTPResponse, url: str, file: Path, limit: int, tell: Callable[[int], None]
) -> bool:
    begin = answer.read(len(_BUNDLES[0]))
    if begin not in _BUNDLES:
        return False
    size = 0
    with file.open("wb") as output:
        piece = begin
        while piece:
            size += output.write(piece)
            tell(size)
            if size > limit:
                raise LimitExceeded(
                    f"{without_secrets(url)}: the bundle is larger than {limit} bytes (limits.max_pack_size)"
                )
            piece = answer.read1(_PIECE)
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return True
