"""The policy itself: what a URL is judged by, and the parts it has when it passed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from swhkit.errors import InvalidInput, InvalidUrl
from swhkit.net.addresses import as_address, public_addresses
from swhkit.net.urls import (
    NEVER,
    PORTS,
    check_characters,
    check_text,
    check_userinfo,
    file_url,
    from_scp,
    host_and_port,
    local_path,
    shown,
)
from swhkit.text import without_secrets

When = Literal["never", "cli", "always"]
SCHEMES = ("https", "http", "git", "svn", "rsync", "pserver", "bzr", "ftp")
_GIT = ("https", "http", "git", "ssh")
#: What goes over ssh: allowed at the shell even when it is not listed.
_SSH = ("ssh", "svn+ssh", "bzr+ssh")


class Target(msgspec.Struct, frozen=True):
    """A URL that was judged, in its parts.

    ``url`` is the one to use (scheme in lower case; scp-like and plain paths as URLs). ``port`` is None where the URL
    gives none. ``path`` is set for local targets alone (``scheme`` ``file``). ``addresses``: those the host had when
    it was checked, all public; empty when private ones are allowed, since nothing had to be resolved then.

    ``scp`` is set for ``[user@]HOST:PATH`` with a relative path, in that form. There the far side says what the path
    is relative to: sshd takes the user's home folder, a forge the root of its repositories. No ssh URL can say so
    (``ssh://HOST/PATH`` is absolute, ``ssh://HOST/~/PATH`` means nothing to a forge), so git is to be given this;
    ``url`` has the path from the root.
    """

    url: str
    scheme: str
    host: str | None = None
    port: int | None = None
    path: Path | None = None
    addresses: tuple[str, ...] = ()
    scp: str | None = None


def without_secret(url: str) -> str:
    """``url`` with its password, and a user name that may be a token, masked: fit for logs, rows and error texts."""
    return without_secrets(url)


def curl_resolve(target: Target) -> str | None:
    """``HOST:PORT:ADDR[,ADDR]`` that pins the checked addresses for git's http (``-c http.curloptResolve=…``).

    None when there is nothing to pin: another scheme, no addresses, or a host that is an address itself.
    """
    if target.scheme not in ("http", "https") or not target.addresses or target.host is None:
        return None
    if as_address(target.host) is not None:
        return None
    port = target.port or PORTS[target.scheme]
    return f"{target.host}:{port}:" + ",".join(f"[{a}]" if ":" in a else a for a in target.addresses)


class Network:
    """The policy of the configuration's section ``network``.

    ``private_addresses`` and ``local_paths``: ``never``, ``always``, or ``cli``: only for what a person typed at the
    shell or wrote into the configuration (``from_cli``). ``schemes``: those that may be connected to; ``ssh``,
    ``svn+ssh`` and ``bzr+ssh`` are allowed too with ``from_cli``. Local paths are governed by ``local_paths`` alone.
    Raises ``InvalidInput`` for a scheme that may never be listed.
    """

    def __init__(
        self,
        *,
        private_addresses: When = "cli",
        schemes: Sequence[str] = SCHEMES,
        local_paths: When = "cli",
        from_cli: bool = False,
    ) -> None:
        for scheme in schemes:
            if scheme in NEVER or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
                raise InvalidInput(f"network.schemes: {scheme!r} cannot be allowed there; remove it")
        self.private_addresses, self.local_paths = private_addresses, local_paths
        self.schemes, self.from_cli = tuple(schemes), from_cli

    @property
    def allows_private(self) -> bool:
        """Whether any address may be connected to, private ones included."""
        return _holds(self.private_addresses, self.from_cli)

    @property
    def allows_local(self) -> bool:
        """Whether paths of this machine may be read."""
        return _holds(self.local_paths, self.from_cli)

    def with_cli(self, from_cli: bool) -> Network:
        """The same policy for input that does, or does not, come from a person at the shell."""
        return Network(
            private_addresses=self.private_addresses,
            schemes=self.schemes,
            local_paths=self.local_paths,
            from_cli=from_cli,
        )

    def allows(self, scheme: str) -> bool:
        """Whether URLs of ``scheme`` are accepted."""
        if scheme == "file":
            return self.allows_local
        return scheme in self.schemes or (scheme in _SSH and self.from_cli)

    def git_protocols(self) -> tuple[str, ...]:
        """The names of the protocols git may speak under this policy."""
        return tuple(name for name in (*_GIT, "file") if self.allows(name))

    def check(self, url: str, *, resolve: bool = True) -> Target:
        """Judge ``url``. Starts nothing; looks the host up only when private addresses are not allowed.

        ``resolve=False`` leaves the look-up out (the form and written addresses are judged all the same). Raises
        ``InvalidUrl`` when it is refused, ``Unavailable`` when its host cannot be found now.
        """
        check_text(url)
        if url.startswith("/"):
            return self._local(file_url(url), url)
        scheme, separator, rest = url.partition("://")
        path: str | None = None
        if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
            scheme, rest, path = "ssh", *from_scp(url)
        scheme = scheme.lower()
        if scheme == "file":
            return self._local(f"file://{rest}", local_path(rest, url))
        if not self.allows(scheme):
            known = ", ".join(s for s in (*self.schemes, *_SSH) if self.allows(s)) or "none"
            raise InvalidUrl(
                f"{shown(url)}: URLs of scheme {scheme!r} are not allowed here; allowed: {known}"
            )
        target = self._remote(scheme, rest, url, resolve)
        if path is None or path.startswith("/"):
            return target
        place = target.url.removeprefix("ssh://").partition("/")[0]
        return msgspec.structs.replace(target, scp=f"{place}:{path}")

    def _local(self, url: str, text: str) -> Target:
        if not self.allows_local:
            raise InvalidUrl(f"{shown(url)}: local paths are not allowed here (network.local_paths)")
        return Target(url=url, scheme="file", path=Path(text))

    def _remote(self, scheme: str, rest: str, url: str, resolve: bool) -> Target:
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        userinfo, at, hostport = authority.rpartition("@")
        check_characters(rest, url)
        check_userinfo(userinfo, url)
        host, port = host_and_port(hostport, url)
        after = rest[len(authority) :]
        place = hostport if hostport.startswith("[") else host + (f":{port}" if port else "")
        judged = f"{scheme}://{userinfo}{at}{place}{after}"
        addresses: tuple[str, ...] = ()
        if not self.allows_private:
            addresses = public_addresses(host, port or PORTS.get(scheme), url, resolve)
        return Target(url=judged, scheme=scheme, host=host, port=port, addresses=addresses)


def _holds(when: When, from_cli: bool) -> bool:
    return when == "always" or (when == "cli" and from_cli)
