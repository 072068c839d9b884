"""The property ``svn:externals``: what it says, and which URL that is.

Follows Subversion's own reading (svn_wc_parse_externals_description3, "Externals Definitions" in the book): the format
of 1.5 (``[-r N] URL[@N] PATH``) and the one before (``PATH [-r N] URL``).
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

#: Definitions that one folder may have, and bytes of one line.
MAX_LINES, _MAX_LINE = 1000, 8192
#: Bytes of an external's path: no working copy could have a longer one (PATH_MAX of Linux, folders above left room).
_MAX_PATH = 2048
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
_DATE = r"\{[0-9TZ :.+-]{1,40}\}"
_REVISION = re.compile(rf"[0-9]{{1,10}}|HEAD|head|{_DATE}")
#: Characters that stand for themselves in a path of a URL.
_SAFE = "/~!$&'()*+,;=:@-._%"


class External(msgspec.Struct, frozen=True):
    """One definition: ``path`` below the folder (raw bytes), ``url`` as it is written (perhaps relative), ``peg`` and
    ``revision`` as words for Subversion (a number, ``HEAD``, ``{DATE}``)."""

    path: bytes
    url: str
    peg: str
    revision: str


class Malformed(Exception):
    """A line cannot be read: then none of the folder's externals counts."""


def parse(text: bytes) -> list[External]:
    """The externals that a property defines. Raises ``Malformed``."""
    found: list[External] = []
    for line in re.split(r"[\r\n]+", text.decode("utf-8", "surrogateescape")):
        line = line.strip()
        if line and not line.startswith("#"):
            if len(line) > _MAX_LINE or len(found) >= MAX_LINES:
                raise Malformed("too long")
            found.append(_parse_line(line))
    return found


def _parse_line(line: str) -> External:
    words = _words(line)
    revision, place, words = _take_revision(words)
    if len(words) != 2:
        raise Malformed(line)
    first, second = words
    first_is_url, second_is_url = (_ABSOLUTE.fullmatch(word) is not None for word in words)
    if (first_is_url and second_is_url) or (place == 0 and second_is_url) or (place == 1 and first_is_url):
        raise Malformed(line)
    if place == 0 or (place is None and (first_is_url or not second_is_url)):
        url, peg = _take_peg(first)
        return External(_path(second), url, peg or "HEAD", revision or peg or "HEAD")
    return External(_path(first), second, revision or "HEAD", revision or "HEAD")


def _words(line: str) -> list[str]:
    """The words of a line, as ``apr_tokenize_to_argv`` finds them: quotes hold words together, backslashes escape."""
    words: list[str] = []
    current: list[str] = []
    quoted, inside = "", False
    characters = iter(line)
    for char in characters:
        if char in " \t" and not quoted:
            if inside:
                words.append("".join(current))
            current, inside = [], False
            continue
        inside = True
        if char == "\\":
            current.append(next(characters, ""))
        elif quoted or char in "'\"":
            if char == quoted:
                quoted = ""
            elif quoted:
                current.append(char)
            else:
                quoted = char
        else:
            current.append(char)
    return [*words, "".join(current)] if inside else words


def _take_revision(words: list[str]) -> tuple[str | None, int | None, list[str]]:
    """The revision of ``-r N`` or ``-rN``, where it stood, and the other words."""
    if not 2 <= len(words) <= 4:
        raise Malformed(" ".join(words))
    for place, word in enumerate(words):
        if not word.startswith("-r"):
            continue
        taken = 2 if word == "-r" else 1
        value = words[place + 1] if taken == 2 and place + 1 < len(words) else word[2:]
        if not _REVISION.fullmatch(value):
            raise Malformed(word)
        return value.upper() if value == "head" else value, place, words[:place] + words[place + taken :]
    return None, None, words


def _take_peg(word: str) -> tuple[str, str | None]:
    """A URL and its peg revision; ``@`` in a user name or a folder is none."""
    url, at, peg = word.rpartition("@")
    if not at or "/" in peg:
        return word, None
    if not peg:
        return url, None
    if peg.startswith("%7B") and peg.endswith("%7D"):
        peg = "{" + peg[3:-3] + "}"
    if not _REVISION.fullmatch(peg):
        raise Malformed(word)
    return url, peg.upper() if peg == "head" else peg


def _path(word: str) -> bytes:
    """The path of an external below its folder."""
    raw = word.encode("utf-8", "surrogateescape")
    if raw.startswith(b"/") or b"\0" in raw:
        raise Malformed(word)
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if not parts or b".." in parts or b"\xff" in parts or len(raw) > _MAX_PATH:
        raise Malformed(word)
    return b"/".join(parts)


def resolve(url: str, root: str, folder: bytes) -> str | None:
    """The absolute URL of an external that ``folder`` (a path below the repository's ``root``) defines.

    None if it leads above what there is, or is no URL.
    """
    try:
        found = _resolved(url, root, folder)
        urlsplit(found or "")
    except ValueError:  # brackets that do not match
        return None
    return found


def _resolved(url: str, root: str, folder: bytes) -> str | None:
    parts = urlsplit(root)
    here = f"{parts.path.rstrip('/')}/{quote_path(folder)}"
    if _ABSOLUTE.fullmatch(url):
        scheme, _, rest = url.partition("://")
        place, _, path = rest.partition("/")
        return _joined(f"{scheme.lower()}://{place}", "", path)
    if url.startswith("^/"):
        return _joined(f"{parts.scheme}://{parts.netloc}", parts.path, url[2:])
    if url.startswith("//"):
        place, _, path = url[2:].partition("/")
        return _joined(f"{parts.scheme}://{place}", "", path)
    if url.startswith("/"):
        return _joined(f"{parts.scheme}://{parts.netloc}", "", url[1:])
    if url.startswith("../"):
        return _joined(f"{parts.scheme}://{parts.netloc}", here, url)
    return None


def _joined(place: str, base: str, path: str) -> str | None:
    names = [name for name in base.split("/") if name]
    for name in path.split("/"):
        if name == "..":
            if not names:
                return None
            names.pop()
        elif name not in ("", "."):
            plain = unquote(
                name
            )  # Subversion reads an escaped ".." as one, and an escaped slash of a local path too
            if plain in (".", "..") or "/" in plain or "\0" in plain:
                return None
            names.append(quote(name.encode("utf-8", "surrogateescape"), safe=_SAFE))
    return "/".join([place, *names])


def quote_path(path: bytes) -> str:
    """A path as it stands in a URL."""
    return quote(path, safe=_SAFE.replace("%", ""))


def contains(url: str, other: str) -> bool:
    """Whether ``other`` is ``url`` or below it."""
    return other == url or other.startswith(url.rstrip("/") + "/")


def without_user(url: str) -> str:
    """A URL without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
