"""What is accepted or rejected without review, by the beginning of a URL.

URLs are compared in one spelling: scheme and host in lower case, no user name, no port that goes without saying, the
path decoded and without dots. So ``https://forge.example/good/../evil`` begins with ``https://forge.example/evil``, and
``https://forge.example.evil.org/`` does not begin with ``https://forge.example``.
"""

from __future__ import annotations

import datetime
import posixpath
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from swhkit.desk import Desk
from swhkit.errors import InvalidInput, NotHeld
from swhkit.requests.saves import Prefix, SaveStatus

_PORTS = {"http": 80, "https": 443, "ftp": 21, "git": 9418, "svn": 3690, "rsync": 873, "ssh": 22}
_LONGEST = 4096


def comparable(url: str) -> str:
    """The one spelling of a URL, or of the beginning of one."""
    scheme, separator, rest = url.partition("://")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return url
    if not separator or not rest or not host:
        return f"{scheme.lower()}{separator}{rest}"
    shown = f"[{host}]" if ":" in host else host
    place = shown if port in (None, _PORTS.get(parts.scheme)) else f"{shown}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{place}{_path(parts.path)}{query}"


def _path(path: str) -> str:
    plain = unquote(path)
    end = "/" if plain.endswith(("/", "/.", "/..")) else ""
    # normpath leaves two slashes at the beginning as they are.
    normal = "/" + posixpath.normpath("/" + plain).lstrip("/")
    return normal if normal == "/" else normal + end


class _Beginnings:
    """Texts, and whether another one begins with any of them: as many look-ups as they have different lengths."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = frozenset(texts)
        self._lengths = sorted({len(text) for text in self._texts})

    def begin(self, text: str) -> bool:
        return any(text[:length] in self._texts for length in self._lengths if length <= len(text))


class Prefixes:
    """The prefixes of an archive at one moment: those of its configuration and those that were added."""

    def __init__(self, accepted: Iterable[str], rejected: Iterable[str]) -> None:
        self._accepted = _Beginnings(map(comparable, accepted))
        self._rejected = _Beginnings(map(comparable, rejected))

    @classmethod
    def of(cls, desk: Desk) -> Prefixes:
        """Those that hold now."""
        settings, known = desk.settings.save_code_now, desk.requests.saves.prefixes()
        return cls(
            (*settings.accept, *(one.prefix for one in known if one.accepted)),
            (*settings.reject, *(one.prefix for one in known if not one.accepted)),
        )

    def decision(self, url: str) -> SaveStatus | None:
        """``accepted`` or ``rejected`` (which wins); None if no prefix says."""
        text = comparable(url)
        if self._rejected.begin(text):
            return SaveStatus.REJECTED
        return SaveStatus.ACCEPTED if self._accepted.begin(text) else None


def set_prefix(desk: Desk, prefix: str, *, accept: bool, user: str | None, now: datetime.datetime) -> Prefix:
    """Accept or reject without review what begins so. Raises ``InvalidInput`` for what no URL begins with."""
    _, separator, rest = prefix.partition("://")
    if not separator or len(prefix) > _LONGEST or not prefix.isprintable() or any(map(str.isspace, prefix)):
        raise InvalidInput(f"{prefix!r} is the beginning of no URL: give one such as https://forge.example/")
    if "@" in rest.partition("/")[0]:
        raise InvalidInput("a prefix has no user name and no password: leave out what stands before the @")
    made = Prefix(prefix=prefix, accepted=accept, date=now, user=user)
    desk.requests.saves.set_prefix(made)
    return made


def remove_prefix(desk: Desk, prefix: str, *, accepted: bool) -> None:
    """Forget a prefix that was added to those that are accepted, or else rejected. Raises ``NotHeld`` if it was not."""
    known = {(one.prefix, one.accepted) for one in desk.requests.saves.prefixes()}
    if (prefix, accepted) not in known or not desk.requests.saves.remove_prefix(prefix):
        word = "accepted" if accepted else "rejected"
        raise NotHeld(
            f"no {word} prefix {prefix} was added; `swhkit save list --prefixes` shows all that hold"
        )
