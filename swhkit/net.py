"""What may be connected to: the policy for every URL that swhkit is given, judged before anything is started.

``Network.check`` takes a URL from a person, the API, a forge or a webhook and either refuses it with one sentence or
returns a ``Target`` whose parts are safe to put into an argv after ``--``. Where private addresses are not allowed
the host is resolved once and every address must be public; the addresses come back so that the very ones that were
checked are connected to (``curl_resolve`` for git). URLs are taken apart here by hand, strictly: parsers that
forgive disagree with each other about which host they mean.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote_to_bytes

import msgspec

from swhkit.errors import InvalidInput, InvalidUrl, Unavailable
from swhkit.text import clean_text, without_secrets

When = Literal["never", "cli", "always"]
SCHEMES = ("https", "http", "git", "svn", "rsync", "pserver", "bzr", "ftp")
#: Longer ones are refused: no origin needs them, and they are written into rows, logs and argv lists.
MAX_URL = 4096
_PORTS = {
    "bzr": 4155,
    "bzr+ssh": 22,
    "ftp": 21,
    "git": 9418,
    "http": 80,
    "https": 443,
    "pserver": 2401,
    "rsync": 873,
    "ssh": 22,
    "svn": 3690,
    "svn+ssh": 22,
}
_GIT = ("https", "http", "git", "ssh")
#: Never to be listed: their "address" is a command, a descriptor, or a path (which ``local_paths`` decides).
_NEVER = ("ext", "fd", "file")
#: What before a single colon is a slip of the pen, not a host to reach by ssh.
_SCHEME_WORDS = (*_PORTS, *_NEVER)

#: Characters that stand for themselves in a URL's path (RFC 3986, section 3.3).
_PATH_SAFE = "/~!$&'()*+,;=:@-._"


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
    if _as_address(target.host) is not None:
        return None
    port = target.port or _PORTS[target.scheme]
    return f"{target.host}:{port}:" + ",".join(f"[{a}]" if ":" in a else a for a in target.addresses)


class Network:
    """The policy of the configuration's section ``network``.

    ``private_addresses`` and ``local_paths``: ``never``, ``always``, or ``cli``: only for what a person typed at the
    shell or wrote into the configuration (``from_cli``). ``schemes``: those that may be connected to; ``ssh`` is
    allowed too with ``from_cli``. Local paths are governed by ``local_paths`` alone. Raises ``InvalidInput`` for a
    scheme that may never be listed.
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
            if scheme in _NEVER or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
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
        return scheme in self.schemes or (scheme == "ssh" and self.from_cli)

    def git_protocols(self) -> tuple[str, ...]:
        """The names of the protocols git may speak under this policy."""
        return tuple(name for name in (*_GIT, "file") if self.allows(name))

    def check(self, url: str, *, resolve: bool = True) -> Target:
        """Judge ``url``. Starts nothing; looks the host up only when private addresses are not allowed.

        ``resolve=False`` leaves the look-up out (the form and written addresses are judged all the same). Raises
        ``InvalidUrl`` when it is refused, ``Unavailable`` when its host cannot be found now.
        """
        _check_text(url)
        if url.startswith("/"):
            return self._local("file://" + quote(os.fsencode(url), safe=_PATH_SAFE), url)
        scheme, separator, rest = url.partition("://")
        path: str | None = None
        if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
            scheme, rest, path = "ssh", *_from_scp(url)
        scheme = scheme.lower()
        if scheme == "file":
            return self._local(f"file://{rest}", _local_path(rest, url))
        if not self.allows(scheme):
            known = ", ".join(s for s in (*self.schemes, "ssh") if self.allows(s)) or "none"
            raise InvalidUrl(
                f"{_shown(url)}: URLs of scheme {scheme!r} are not allowed here; allowed: {known}"
            )
        target = self._remote(scheme, rest, url, resolve)
        if path is None or path.startswith("/"):
            return target
        place = target.url.removeprefix("ssh://").partition("/")[0]
        return msgspec.structs.replace(target, scp=f"{place}:{path}")

    def _local(self, url: str, text: str) -> Target:
        if not self.allows_local:
            raise InvalidUrl(f"{_shown(url)}: local paths are not allowed here (network.local_paths)")
        return Target(url=url, scheme="file", path=Path(text))

    def _remote(self, scheme: str, rest: str, url: str, resolve: bool) -> Target:
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        userinfo, at, hostport = authority.rpartition("@")
        _check_characters(rest, url)
        _check_userinfo(userinfo, url)
        host, port = _host_and_port(hostport, url)
        after = rest[len(authority) :]
        place = hostport if hostport.startswith("[") else host + (f":{port}" if port else "")
        judged = f"{scheme}://{userinfo}{at}{place}{after}"
        addresses: tuple[str, ...] = ()
        if not self.allows_private:
            addresses = _public_addresses(host, port or _PORTS.get(scheme), url, resolve)
        return Target(url=judged, scheme=scheme, host=host, port=port, addresses=addresses)


def _holds(when: When, from_cli: bool) -> bool:
    return when == "always" or (when == "cli" and from_cli)


def _shown(url: str) -> str:
    """A URL as it may stand in an error text."""
    text = clean_text(url.encode("utf-8", "replace")).replace("\n", " ")
    text = "".join(c if c.isprintable() else "\ufffd" for c in _PASSWORD.sub(":***@", text))
    return text if len(text) <= 200 else text[:200] + "…"


#: What may be a password in a URL too malformed to tell. Better one hidden too many.
_PASSWORD = re.compile(r":(?!//)[^@]*@")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _check_text(url: str) -> None:
    """What no URL or path may have, whatever its form."""
    if not url:
        raise InvalidUrl("the URL is empty")
    if len(url) > MAX_URL:
        raise InvalidUrl(f"{_shown(url)}: the URL is longer than {MAX_URL} characters")
    if _CONTROL.search(url):
        raise InvalidUrl(f"{_shown(url)}: the URL has control characters")
    try:
        os.fsencode(url)
    except UnicodeEncodeError:
        raise InvalidUrl(f"{_shown(url)}: the URL is not valid Unicode") from None
    if url.startswith("-"):
        raise InvalidUrl(f"{_shown(url)}: a URL does not begin with '-'")
    if re.match(r"[^/\[]*::", url):
        raise InvalidUrl(f"{_shown(url)}: transports of the form NAME::ADDRESS are not allowed")


def _check_characters(rest: str, url: str) -> None:
    """What no remote URL may have behind its scheme: it would be read differently by different programs."""
    if "\\" in rest or re.search(r"\s", rest):
        raise InvalidUrl(f"{_shown(url)}: the URL has a backslash or white space; write it percent-encoded")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in rest):
        raise InvalidUrl(f"{_shown(url)}: the URL is not valid Unicode; write it percent-encoded")
    if re.search(rb"[\x00-\x1f\x7f]", unquote_to_bytes(rest)):
        raise InvalidUrl(f"{_shown(url)}: the URL has percent-encoded control characters")


def _check_userinfo(userinfo: str, url: str) -> None:
    plain = unquote_to_bytes(userinfo)
    if plain.startswith(b"-") or "@" in userinfo:
        raise InvalidUrl(f"{_shown(url)}: the user name begins with '-' or has a bare '@'")


_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})")


def _host_and_port(hostport: str, url: str) -> tuple[str, int | None]:
    """Host (lower case, an IPv6 address without brackets) and port. Raises ``InvalidUrl``."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", hostport, re.ASCII)
    if match is None or not match[1]:
        raise InvalidUrl(f"{_shown(url)}: the URL has no host, or its host and port cannot be told apart")
    port = None if match[2] is None else int(match[2])
    if port is not None and not 1 <= port <= 65535:
        raise InvalidUrl(f"{_shown(url)}: {port} is no port (1 to 65535)")
    if match[1].startswith("["):
        return _ipv6(match[1][1:-1], url), port
    host = match[1].removesuffix(".")  # curl looks a host up without its last dot: a pin must match
    if not _NAME.fullmatch(host) or ".." in host:
        raise InvalidUrl(
            f"{_shown(url)}: {_shown(host)!r} is no host name (international ones: write the xn-- form)"
        )
    return host.lower(), port  # not before: a KELVIN SIGN would become a k


def _ipv6(text: str, url: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        address = None
    if address is None or address.scope_id is not None:
        raise InvalidUrl(f"{_shown(url)}: [{_shown(text)}] is no IPv6 address, or one with a zone")
    return str(address)


def _from_scp(url: str) -> tuple[str, str]:
    """``[user@]host:path`` as an ssh URL, what follows ``ssh://``, and the path itself.

    Raises ``InvalidUrl`` for any other form.
    """
    match = re.fullmatch(r"((?:[^/@:\[\]]+@)?[^/@:\[\]]+):([^/].*|/.*)", url)
    host = "" if match is None else match[1].rpartition("@")[2].lower()
    doubtful = match is None or "\\" in url or match[2].startswith(("-", "//")) or host in _SCHEME_WORDS
    if match is None or doubtful or re.match(r"[^/]*@[^/]*:", match[2]):  # the last: user:password@host:path
        raise InvalidUrl(
            f"{_shown(url)}: this is no URL (SCHEME://HOST/PATH); write a local path in full, from the root"
        )
    if any(0xD800 <= ord(c) <= 0xDFFF for c in url):
        raise InvalidUrl(f"{_shown(url)}: the URL is not valid Unicode")
    path = quote(match[2], safe=_PATH_SAFE)
    return f"{match[1]}/{path.removeprefix('/')}", match[2]


def _local_path(rest: str, url: str) -> str:
    """The path of a ``file://`` URL as git reads it: percent-decoded, ``?`` and ``#`` being ordinary characters."""
    host, slash, path = rest.partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise InvalidUrl(f"{_shown(url)}: a file URL has an absolute path and no host: file:///PATH")
    plain = unquote_to_bytes(os.fsencode(path))
    if re.search(rb"[\x00-\x1f\x7f]", plain) or "\\" in rest:
        raise InvalidUrl(f"{_shown(url)}: the path has control characters or a backslash")
    return "/" + os.fsdecode(plain)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: IANA's special-purpose registries, written out: what Python says is "global" has changed between patch releases.
_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(n)
    for n in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
#: Inside it: IETF assignments with Teredo and ORCHID, documentation, 6to4 (which embeds any IPv4 address).
_SPECIAL_V6 = tuple(
    ipaddress.IPv6Network(n) for n in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
#: Outside it, but as good as the IPv4 address in the last 32 bits: mapped ones, and NAT64 (RFC 6052).
_EMBEDDING_V6 = tuple(ipaddress.IPv6Network(n) for n in ("::ffff:0:0/96", "64:ff9b::/96"))


def is_public(address: str) -> bool:
    """Whether an IP address (text) belongs to the public internet. A text that is none does not."""
    try:
        value = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(value, ipaddress.IPv6Address):
        if value.scope_id is not None:
            return False
        if not any(value in network for network in _EMBEDDING_V6):
            return value in _GLOBAL_V6 and not any(value in network for network in _SPECIAL_V6)
        value = ipaddress.IPv4Address(int(value) & 0xFFFFFFFF)
    return not any(value in network for network in _SPECIAL_V4)


def _as_address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _public_addresses(host: str, port: int | None, url: str, resolve: bool) -> tuple[str, ...]:
    """The addresses of ``host``. Raises ``InvalidUrl`` unless all are public, ``Unavailable`` if it has none."""
    address = _as_address(host)
    if address is not None:
        found: tuple[str, ...] = (str(address),)
    elif re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        # 127.1, 2130706433, 0177.0.0.1, 0x7f.1: programs read them as addresses, each in its way.
        raise InvalidUrl(f"{_shown(url)}: write the address {host} as four decimal numbers")
    elif host == "localhost" or host.endswith(".localhost"):
        found = ("127.0.0.1",)
    else:
        found = _resolved(host, port, url) if resolve else ()
    private = [text for text in found if not is_public(text)]
    if private:
        raise InvalidUrl(
            f"{_shown(url)}: its host is at the private address {private[0]}, which is not allowed here"
        )
    return found


def _resolved(host: str, port: int | None, url: str) -> tuple[str, ...]:
    try:
        records = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{_shown(url)}: the host {host} cannot be found: {error}") from error
    found = tuple(dict.fromkeys(str(record[4][0]) for record in records))
    if not found:
        raise Unavailable(f"{_shown(url)}: the host {host} has no address")
    return found
