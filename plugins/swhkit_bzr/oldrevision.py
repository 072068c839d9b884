"""Revisions as older formats keep them: small XML documents (formats 5 to 8), told as today's records."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from swhkit_bzr.record import Record, record_of

#: Notations of repositories whose revisions are such documents.
NOTATIONS = (b"5", b"6", b"7", b"8")
#: Elements within elements.
_DEEPEST = 8


def parse_xml(data: bytes) -> Record:
    """The revision that an XML document is. Raises ``ValueError``."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
        return reader.record()
    except (expat.ExpatError, LookupError, OverflowError) as error:
        raise ValueError(f"a revision is no XML that can be read ({error})") from None


class _Reader:
    """What of the document counts, as the parser meets it."""

    def __init__(self) -> None:
        self._top: dict[str, str] = {}
        self._parents: list[bytes] = []
        self._properties: dict[bytes, bytes] = {}
        self._message: list[str] = []
        self._property: tuple[str, list[str]] | None = None
        self._path: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            raise ValueError("a revision has elements within elements within elements")
        match self._path:
            case ["revision"]:
                self._top = attributes
            case ["revision", "parents", "revision_ref"]:
                self._parents.append(attributes.get("revision_id", "").encode())
            case ["revision", "properties", "property"]:
                self._property = (attributes.get("name", ""), [])

    def end(self, name: str) -> None:
        self._path.pop()
        if name == "property" and self._property is not None:
            self._properties[self._property[0].encode()] = "".join(self._property[1]).encode()
            self._property = None

    def text(self, data: str) -> None:
        if self._path == ["revision", "message"]:
            self._message.append(data)
        elif self._property is not None:
            self._property[1].append(data)

    def record(self) -> Record:
        top = self._top
        return record_of(
            {
                "id": top.get("revision_id", "").encode(),
                "parents": self._parents,
                "committer": top.get("committer", "").encode(),
                "timestamp": top.get("timestamp", "").encode(),
                "timezone": int(top.get("timezone", "0")),
                "message": "".join(self._message).encode(),
                "properties": self._properties,
            }
        )


def _refuse(*_: Any) -> None:
    raise ValueError("a revision declares entities")
