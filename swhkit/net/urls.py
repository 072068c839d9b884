"""URLs taken apart by hand, strictly: each function refuses with one sentence what it does not know for certain."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import quote, unquote_to_bytes

from swhkit.errors import InvalidUrl
from swhkit.text import clean_text

#: Longer ones are refused: no origin needs them, and they are written into rows, logs and argv lists.
MAX_URL = 4096
PORTS = {
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
#: Never to be listed: their "address" is a command, a descriptor, or a path (which ``local_paths`` decides).
NEVER = ("ext", "fd", "file")
#: What before a single colon is a slip of the pen, not a host to reach by ssh.
_SCHEME_WORDS = (*PORTS, *NEVER)

#: Characters that stand for themselves in a URL's path (RFC 3986, section 3.3).
_PATH_SAFE = "/~!$&'()*+,;=:@-._"


def shown(url: str) -> str:
    """A URL as it may stand in an error text."""
    text = clean_text(url.encode("utf-8", "replace")).replace("\n", " ")
    text = "".join(c if c.isprintable() else "\ufffd" for c in _PASSWORD.sub(":***@", text))
    return text if len(text) <= 200 else text[:200] + "…"


#: What may be a password in a URL too malformed to tell. Better one hidden too many.
_PASSWORD = re.compile(r":(?!//)[^@]*@")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def check_text(url: str) -> None:
    """What no URL or path may have, whatever its form."""
    if not url:
        raise InvalidUrl("the URL is empty")
    if len(url) > MAX_URL:
        raise InvalidUrl(f"{shown(url)}: the URL is longer than {MAX_URL} characters")
    if _CONTROL.search(url):
        raise InvalidUrl(f"{shown(url)}: the URL has control characters")
    try:
        os.fsencode(url)
    except UnicodeEncodeError:
        raise InvalidUrl(f"{shown(url)}: the URL is not valid Unicode") from None
    if url.startswith("-"):
        raise InvalidUrl(f"{shown(url)}: a URL does not begin with '-'")
    if re.match(r"[^/\[]*::", url):
        raise InvalidUrl(f"{shown(url)}: transports of the form NAME::ADDRESS are not allowed")


def check_characters(rest: str, url: str) -> None:
    """What no remote URL may have behind its scheme: it would be read differently by different programs."""
    if "\\" in rest or re.search(r"\s", rest):
        raise InvalidUrl(f"{shown(url)}: the URL has a backslash or white space; write it percent-encoded")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in rest):
        raise InvalidUrl(f"{shown(url)}: the URL is not valid Unicode; write it percent-encoded")
    if re.search(rb"[\x00-\x1f\x7f]", unquote_to_bytes(rest)):
        raise InvalidUrl(f"{shown(url)}: the URL has percent-encoded control characters")


def check_userinfo(userinfo: str, url: str) -> None:
    """What no user name may be: an option of the program it is given to, or more than one."""
    plain = unquote_to_bytes(userinfo)
    if plain.startswith(b"-") or "@" in userinfo:
        raise InvalidUrl(f"{shown(url)}: the user name begins with '-' or has a bare '@'")


_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})")


def host_and_port(hostport: str, url: str) -> tuple[str, int | None]:
    """Host (lower case, an IPv6 address without brackets) and port. Raises ``InvalidUrl``."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", hostport, re.ASCII)
    if match is None or not match[1]:
        raise InvalidUrl(f"{shown(url)}: the URL has no host, or its host and port cannot be told apart")
    port = None if match[2] is None else int(match[2])
    if port is not None and not 1 <= port <= 65535:
        raise InvalidUrl(f"{shown(url)}: {port} is no port (1 to 65535)")
    if match[1].startswith("["):
        return _ipv6(match[1][1:-1], url), port
    host = match[1].removesuffix(".")  # curl looks a host up without its last dot: a pin must match
    if not _NAME.fullmatch(host) or ".." in host:
        raise InvalidUrl(
            f"{shown(url)}: {shown(host)!r} is no host name (international ones: write the xn-- form)"
        )
    return host.lower(), port  # not before: a KELVIN SIGN would become a k


def _ipv6(text: str, url: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        address = None
    if address is None or address.scope_id is not None:
        raise InvalidUrl(f"{shown(url)}: [{shown(text)}] is no IPv6 address, or one with a zone")
    return str(address)


def from_scp(url: str) -> tuple[str, str]:
    """``[user@]host:path`` as an ssh URL, what follows ``ssh://``, and the path itself.

    Raises ``InvalidUrl`` for any other form.
    """
    match = re.fullmatch(r"((?:[^/@:\[\]]+@)?[^/@:\[\]]+):([^/].*|/.*)", url)
    host = "" if match is None else match[1].rpartition("@")[2].lower()
    doubtful = match is None or "\\" in url or match[2].startswith(("-", "//")) or host in _SCHEME_WORDS
    if match is None or doubtful or re.match(r"[^/]*@[^/]*:", match[2]):  # the last: user:password@host:path
        raise InvalidUrl(
            f"{shown(url)}: this is no URL (SCHEME://HOST/PATH); write a local path in full, from the root"
        )
    if any(0xD800 <= ord(c) <= 0xDFFF for c in url):
        raise InvalidUrl(f"{shown(url)}: the URL is not valid Unicode")
    path = quote(match[2], safe=_PATH_SAFE)
    return f"{match[1]}/{path.removeprefix('/')}", match[2]


def file_url(path: str) -> str:
    """The ``file://`` URL of an absolute path."""
    return "file://" + quote(os.fsencode(path), safe=_PATH_SAFE)


def local_path(rest: str, url: str) -> str:
    """The path of a ``file://`` URL as git reads it: percent-decoded, ``?`` and ``#`` being ordinary characters."""
    host, slash, path = rest.partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise InvalidUrl(f"{shown(url)}: a file URL has an absolute path and no host: file:///PATH")
    plain = unquote_to_bytes(os.fsencode(path))
    if re.search(rb"[\x00-\x1f\x7f]", plain) or "\\" in rest:
        raise InvalidUrl(f"{shown(url)}: the path has control characters or a backslash")
    return "/" + os.fsdecode(plain)
