"""Bundles, as files and as answers to ``getbundle``: what is around a changegroup.

Formats: ``hg help internals.bundles`` and ``internals.bundle2``. A bundle of version 1 is ``HG10``, a compression and
a changegroup of version 01; one of version 2 is ``HG20``, parameters and parts, of which the one with the changegroup
counts here. A peer of before Mercurial 3.5 answers with a bare changegroup.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

from swhkit_hg.changegroup import Changegroup
from swhkit_hg.errors import Broken, Unsupported
from swhkit_hg.stream import Source, decompressed, exactly, integer, pieces

#: Bytes of parameters, and of a part's header, that are believed.
_PARAMETERS, _HEADER = 1 << 16, 1 << 20
#: What is offered to a peer: versions of changegroups, and that errors may come as parts.
OFFER = b"HG20\nchangegroup=01,02,03\nerror=abort,unsupportedcontent,pushraced,pushkey"
_VERSIONS = frozenset({"01", "02", "03"})


def changegroups(source: Source, scratch: Path) -> Iterator[Changegroup]:
    """The changegroups of a bundle; each is to be read to its end before the next is asked for. What is too large for
    memory goes to ``scratch``.

    Raises ``Broken``, ``Unsupported``.
    """
    magic = exactly(source, 4)
    if magic == b"HG10":
        yield Changegroup(_bundle_1(source), "01", scratch)
    elif magic == b"HG20":
        yield from _bundle_2(source, scratch)
    elif magic.startswith(b"HG"):
        raise Unsupported(f"it is a bundle of a kind that is not known ({magic!r})")
    else:
        yield Changegroup(Prefixed(magic, source), "01", scratch)


class Prefixed:
    """A source after some bytes that were read from it already."""

    def __init__(self, head: bytes, source: Source) -> None:
        self._head, self._source = head, source

    def read(self, size: int, /) -> bytes:
        """See ``Source``."""
        if not self._head:
            return self._source.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data


def _bundle_1(source: Source) -> Source:
    compression = exactly(source, 2)
    # The magic number of bzip2 is shared: "HG10" and then the file of bzip2, which begins with "BZ".
    inside = Prefixed(compression, source) if compression == b"BZ" else source
    return decompressed(inside, compression.decode("latin-1"))


def _bundle_2(source: Source, scratch: Path) -> Iterator[Changegroup]:
    parameters = _stream_parameters(source)
    inside = decompressed(source, parameters.pop("Compression", "UN"))
    for name in parameters:
        if name[:1].isupper():
            raise Unsupported(f"it is a bundle with the parameter {name!r}, which is not known")
    while (part := _next_part(inside)) is not None:
        if part.kind == "changegroup":
            version = part.parameters.get("version", "01")
            if version not in _VERSIONS or "treemanifest" in part.parameters:
                raise Unsupported(f"it is a changegroup of version {version}, or of tree manifests")
            yield Changegroup(part, version, scratch)
        elif part.kind.startswith("error:"):
            raise Broken(f"Mercurial says: {part.complaint()}")
        elif part.mandatory and part.kind not in _HARMLESS:
            raise Unsupported(f"it is a bundle with a part {part.kind!r}, which is not known")
        part.drain()


#: Parts that bundles may have beside the changegroup, and that tell nothing that it does not.
_HARMLESS = frozenset(
    {
        "bookmarks",
        "cache:rev-branch-cache",
        "check:heads",
        "hgtagsfnodes",
        "listkeys",
        "obsmarkers",
        "output",
        "phase-heads",
        "replycaps",
    }
)


def _stream_parameters(source: Source) -> dict[str, str]:
    size = integer(source)
    if not 0 <= size <= _PARAMETERS:
        raise Broken(f"its parameters are said to have {size} bytes")
    found = {}
    for item in exactly(source, size).split(b" "):
        name, _, value = item.partition(b"=")
        if name:
            found[_unquoted(name)] = _unquoted(value)
    return found


def _unquoted(text: bytes) -> str:
    return unquote_to_bytes(text).decode("latin-1")


class Part:
    """One part of a bundle of version 2; reading it reads its payload, whatever frames that came in."""

    def __init__(self, source: Source, kind: str, parameters: dict[str, str]) -> None:
        self._source, self._left, self._ended = source, 0, False
        self._piece, self._at = b"", 0
        self.kind, self.mandatory, self.parameters = kind.lower(), kind != kind.lower(), parameters

    def read(self, size: int, /) -> bytes:
        """``size`` bytes of the payload; fewer only at its end."""
        at = self._at
        if len(self._piece) - at >= size:
            self._at = at + size
            return self._piece[at : at + size]
        found = [self._piece[at:]]
        size -= len(found[0])
        self._piece, self._at = b"", 0
        while size and self._fill():
            found.append(self._piece[:size])
            self._at = len(found[-1])
            size -= self._at
        return b"".join(found)

    def drain(self) -> None:
        """Read what is left. Raises ``Broken`` as reading does."""
        while self._fill():
            pass

    def complaint(self) -> str:
        """What a part that is an error says."""
        words = [self.parameters.get(name, "") for name in ("message", "parttype", "hint")]
        return "; ".join(filter(None, words)) or self.kind

    def _fill(self) -> bool:
        """Get the next piece of at most 1 MiB; False at the end."""
        while not self._left:
            if self._ended:
                return False
            size = integer(self._source)
            if size == -1:
                _interruption(self._source)
            elif size < 0:
                raise Broken(f"a piece of {size} bytes is announced")
            else:
                self._left, self._ended = size, size == 0
        self._piece = exactly(self._source, min(self._left, 1 << 20))
        self._left -= len(self._piece)
        return True


def _interruption(source: Source) -> None:
    """A part in the midst of another: most likely the peer's last words."""
    part = _next_part(source)
    if part is None:
        return
    if part.kind.startswith("error:"):
        raise Broken(f"Mercurial says: {part.complaint()}")
    for size in iter(lambda: integer(source), 0):
        if size < 0:  # one within another would be a way to have us recurse
            raise Broken(f"a piece of {size} bytes is announced")
        for _ in pieces(source, size):
            pass


def _next_part(source: Source) -> Part | None:
    """The next part; None at the end of the bundle."""
    size = integer(source)
    if size == 0:
        return None
    if not 0 < size <= _HEADER:
        raise Broken(f"the header of a part is said to have {size} bytes")
    header = exactly(source, size)
    try:
        end = 1 + header[0]
        kind, at = header[1:end].decode("latin-1"), end + 4
        count = header[at] + header[at + 1]
        sizes = struct.unpack_from(f"{2 * count}B", header, at + 2)
    except (IndexError, struct.error):
        raise Broken("the header of a part is cut short") from None
    texts, at = [], at + 2 + 2 * count
    for length in sizes:
        texts.append(header[at : at + length].decode("latin-1"))
        at += length
    if at > size:
        raise Broken("the header of a part is cut short")
    return Part(source, kind, dict(zip(texts[::2], texts[1::2], strict=True)))
