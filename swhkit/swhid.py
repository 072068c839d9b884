"""SWHIDs: parse and format core, qualified and extended ones (ISO/IEC 18670, SWHID specification 1.2).

``ObjectId`` is the pair every other module speaks of: the kind of an object and its 20-byte digest. It is the
core SWHID itself; ``str()`` gives the text. Nothing here knows how a digest is computed.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from swhkit.errors import InvalidSwhid


class Kind(StrEnum):
    """What an id names. The value is the three-letter code of the SWHID; ``word`` is the full name."""

    CONTENT = "cnt"
    DIRECTORY = "dir"
    REVISION = "rev"
    RELEASE = "rel"
    SNAPSHOT = "snp"
    ORIGIN = "ori"
    METADATA = "emd"

    @property
    def word(self) -> str:
        """The full word the web API uses: ``content``, ``directory``, …"""
        return _WORDS[self]

    @property
    def git(self) -> str:
        """The git object type (``blob``, ``tree``, ``commit``, ``tag``), or ``snapshot``.

        Raises ``InvalidSwhid`` for kinds that have no manifest of that form (``ori``, ``emd``).
        """
        try:
            return _GIT_TYPES[self]
        except KeyError:
            raise InvalidSwhid(f"{self.word} objects have no git-style manifest") from None

    @classmethod
    def from_word(cls, word: str) -> Kind:
        """The kind of a full word (``content`` …). Raises ``InvalidSwhid``."""
        try:
            return _BY_WORD[word]
        except KeyError:
            raise InvalidSwhid(f"{word!r} is no object type; known: {', '.join(_BY_WORD)}") from None

    @classmethod
    def from_git(cls, git_type: str) -> Kind:
        """The kind of a git object type (``blob`` …). Raises ``InvalidSwhid``."""
        try:
            return _BY_GIT[git_type]
        except KeyError:
            raise InvalidSwhid(f"{git_type!r} is no git object type") from None


_WORDS = {
    Kind.CONTENT: "content",
    Kind.DIRECTORY: "directory",
    Kind.REVISION: "revision",
    Kind.RELEASE: "release",
    Kind.SNAPSHOT: "snapshot",
    Kind.ORIGIN: "origin",
    Kind.METADATA: "raw_extrinsic_metadata",
}
_GIT_TYPES = {
    Kind.CONTENT: "blob",
    Kind.DIRECTORY: "tree",
    Kind.REVISION: "commit",
    Kind.RELEASE: "tag",
    Kind.SNAPSHOT: "snapshot",
}
_BY_WORD = {word: kind for kind, word in _WORDS.items()}
_BY_GIT = {word: kind for kind, word in _GIT_TYPES.items()}

#: The kinds an object store holds: their digest is a git object id.
GIT_KINDS = (Kind.CONTENT, Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE)
#: The kinds a core SWHID may name.
CORE_KINDS = (*GIT_KINDS, Kind.SNAPSHOT)


class ObjectId(NamedTuple):
    """A core (or extended) SWHID: ``kind`` and 20 bytes of ``digest``."""

    kind: Kind
    digest: bytes

    @property
    def hex(self) -> str:
        """The digest as 40 lower-case hex digits."""
        return self.digest.hex()

    def __str__(self) -> str:
        return f"swh:1:{self.kind.value}:{self.digest.hex()}"


class QualifiedSwhid(NamedTuple):
    """A core SWHID with its qualifiers, decoded (``path`` as bytes); ``None`` where one is absent.

    ``lines`` and ``bytes`` are inclusive ranges ``(first, last)``, ``last`` None for a single position.
    """

    core: ObjectId
    origin: str | None = None
    visit: ObjectId | None = None
    anchor: ObjectId | None = None
    path: bytes | None = None
    lines: tuple[int, int | None] | None = None
    bytes: tuple[int, int | None] | None = None

    def qualifiers(self) -> dict[str, str]:
        """The qualifiers present, as texts, in the canonical order of the specification."""
        texts = {
            "origin": self.origin and _escape(self.origin),
            "visit": self.visit and str(self.visit),
            "anchor": self.anchor and str(self.anchor),
            "path": None if self.path is None else quote(self.path),
            "lines": _range_text(self.lines),
            "bytes": _range_text(self.bytes),
        }
        return {key: text for key, text in texts.items() if text is not None}

    def __str__(self) -> str:
        return ";".join([str(self.core), *(f"{k}={v}" for k, v in self.qualifiers().items())])


_CORE = re.compile(r"swh:1:(cnt|dir|rev|rel|snp):([0-9a-f]{40})", re.ASCII)
_EXTENDED = re.compile(r"swh:1:(cnt|dir|rev|rel|snp|ori|emd):([0-9a-f]{40})", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", re.ASCII)
_UNSAFE = re.compile(r"[%;\s\0]")
_SPACE = re.compile(r"[\s\0]")
_QUALIFIERS = ("origin", "visit", "anchor", "path", "lines", "bytes")
#: Kinds an ``anchor`` may name (specification, section 6.3.3).
_ANCHORS = (Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE, Kind.SNAPSHOT)


def parse_core(text: str) -> ObjectId:
    """Parse ``swh:1:<cnt|dir|rev|rel|snp>:<40 hex>``; qualifiers are refused. Raises ``InvalidSwhid``."""
    if ";" in text and _CORE.fullmatch(text.partition(";")[0]):
        raise InvalidSwhid("CoreSWHID does not support qualifiers.")
    return _parse(_CORE, text)


def parse_extended(text: str) -> ObjectId:
    """Parse a core SWHID or one of kind ``ori`` or ``emd``. Raises ``InvalidSwhid``."""
    return _parse(_EXTENDED, text)


def parse_qualified(text: str) -> QualifiedSwhid:
    """Parse a core SWHID with any qualifiers. Raises ``InvalidSwhid`` on unknown, repeated or malformed ones."""
    head, *rest = text.split(";")
    core = _parse(_CORE, head, whole=text)
    if _SPACE.search(text):
        raise InvalidSwhid(f"Invalid SWHID: invalid syntax: {text}")
    values: dict[str, str] = {}
    for part in rest:
        key, equals, value = part.partition("=")
        if key not in _QUALIFIERS or not equals or key in values:
            raise InvalidSwhid(f"Invalid SWHID: invalid qualifier {part!r}: {text}")
        values[key] = value
    return QualifiedSwhid(
        core=core,
        origin=_origin(values.get("origin")),
        visit=_visit(values.get("visit")),
        anchor=_anchor(values.get("anchor")),
        path=_path(values.get("path")),
        lines=_range("lines", values.get("lines")),
        bytes=_range("bytes", values.get("bytes")),
    )


def _parse(pattern: re.Pattern[str], text: str, whole: str | None = None) -> ObjectId:
    match = pattern.fullmatch(text)
    if match is None:
        raise InvalidSwhid(f"Invalid SWHID: invalid syntax: {whole or text}")
    return ObjectId(Kind(match[1]), bytes.fromhex(match[2]))


def _visit(text: str | None) -> ObjectId | None:
    if text is None:
        return None
    visit = parse_core(text)
    if visit.kind is not Kind.SNAPSHOT:
        raise InvalidSwhid("Visit must be a snapshot SWHID.")
    return visit


def _anchor(text: str | None) -> ObjectId | None:
    if text is None:
        return None
    anchor = parse_core(text)
    if anchor.kind not in _ANCHORS:
        raise InvalidSwhid("Anchor must be a directory, revision, release, or snapshot SWHID.")
    return anchor


def _origin(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeError:
        raise InvalidSwhid(f"Invalid SWHID: the origin is not UTF-8: {text!r}") from None


def _path(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
    except UnicodeError:
        raise InvalidSwhid(f"Invalid SWHID: the path cannot be written as bytes: {text!r}") from None


def _range(name: str, text: str | None) -> tuple[int, int | None] | None:
    if text is None:
        return None
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InvalidSwhid(f"Invalid SWHID: {name} must be N or N-M, not {text!r}")
    return int(match[1]), int(match[2]) if match[2] else None


def _range_text(value: tuple[int, int | None] | None) -> str | None:
    if value is None:
        return None
    return str(value[0]) if value[1] is None else f"{value[0]}-{value[1]}"


def _escape(text: str) -> str:
    # The specification asks for % and ;. Blanks would end the SWHID in running text, and no parser takes them.
    return _UNSAFE.sub(lambda match: quote(match[0]), text)
