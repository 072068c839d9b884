"""Brings a repository from a web server as the files that it is, so that it can be read here.

Asking a web server for a piece of a file at a time takes some requests for each group of revisions; where many are
wanted, whole packs are quicker. Formats with packs alone can be brought so (all since Bazaar 0.92): the file
``pack-names`` tells what there is. It is an index of names: lines of a page each that is compressed by zlib ("B+Tree
Graph Index 2", pages of 4 KiB) or as they are ("Bazaar Graph Index 1").
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import msgspec

from swhkit.plugin import NotFound, Target, VisitContext, download, fetch
from swhkit_bzr.connect import Place, place_of

_TREE, _PLAIN = b"B+Tree Graph Index 2\n", b"Bazaar Graph Index 1\n"
_PAGE = 4096
#: Bytes of the list of packs (some hundred thousand of them) and of a page.
_NAMES, _INFLATED = 16 << 20, 1 << 20
_NAME = re.compile(rb"[0-9a-f]{32}")
#: Endings of the indices of a pack; the last only where its sizes are five.
_INDICES = ("rix", "iix", "tix", "six", "cix")
_TRIES = 3
_PROBE = "/.bzr/branch-format"


class Pack(msgspec.Struct, frozen=True):
    """A pack: its name, and how many indices it has."""

    name: str
    indices: int

    def files(self) -> Iterator[str]:
        """Its files, below the repository's folder."""
        yield f"packs/{self.name}.pack"
        yield from (f"indices/{self.name}.{ending}" for ending in _INDICES[: self.indices])


def redirected(context: VisitContext, place: Place) -> Place:
    """The place to which a web server redirects, judged anew; brz follows no redirects."""
    target = place.target
    if target.scheme not in ("http", "https"):
        return place
    with fetch(context.network, target.url.rstrip("/") + _PROBE, deadline=context.runner.deadline) as answer:
        found = answer.target
    if not found.url.endswith(_PROBE):
        return place
    url = found.url.removesuffix(_PROBE)
    return place if url == target.url.rstrip("/") else place_of(msgspec.structs.replace(found, url=url))


def mirror(context: VisitContext, target: Target, path: bytes, folder: Path) -> bool:
    """Bring the repository at ``path`` of a web server into ``folder``; False if it is none of packs, or moves on.

    Raises ``Unavailable``, ``LimitExceeded``.
    """
    base = target.url.partition("://")
    root = f"{base[0]}://{base[2].partition('/')[0]}{quote(path).rstrip('/')}/.bzr"
    here = folder / ".bzr" / "repository"
    for name in ("packs", "indices", "upload", "obsolete_packs", "lock"):
        (here / name).mkdir(parents=True, exist_ok=True)
    left = context.limits.max_pack_size
    for _ in range(_TRIES):
        with suppress(NotFound):  # a pack that was joined to another meanwhile
            for file in ("branch-format", "repository/format", "repository/pack-names"):
                _bring(context, f"{root}/{file}", here.parent / file, _NAMES)
            for pack in packs_of((here / "pack-names").read_bytes()):
                for file in pack.files():
                    if not (here / file).exists():
                        left -= _bring(context, f"{root}/repository/{file}", here / file, left)
            return True
    return False


def packs_of(data: bytes) -> Iterator[Pack]:
    """The packs that a list of packs names. Raises ``ValueError``."""
    if data.startswith(_TREE):
        lines = _leaves(data)
    elif data.startswith(_PLAIN):
        lines = iter(data.split(b"\n")[4:])
    else:
        raise ValueError(f"the list of packs is in a notation that is not known, {data[:40]!r}")
    for line in lines:
        if not line:
            continue
        name, _, rest = line.partition(b"\0")
        if not _NAME.fullmatch(name):
            raise ValueError(f"the list of packs has an odd name, {name[:100]!r}")
        yield Pack(name.decode("ascii"), len(rest.strip(b"\0").split(b" ")))


def _leaves(data: bytes) -> Iterator[bytes]:
    """The lines of all leaves of a tree of pages; the first page begins with five lines of text."""
    start = 0
    for _ in range(5):
        start = data.index(b"\n", start) + 1
    for page in range(0, len(data), _PAGE):
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(data[max(start, page) : page + _PAGE], _INFLATED)
        except zlib.error as error:
            raise ValueError(f"the list of packs cannot be read ({error})") from None
        kind, _, lines = text.partition(b"\n")
        if kind == b"type=leaf":
            yield from lines.split(b"\n")


def _bring(context: VisitContext, url: str, file: Path, limit: int) -> int:
    part = file.with_name(file.name + ".part")
    found = download(context.network, url, part, limit=limit, deadline=context.runner.deadline)
    part.replace(file)
    context.progress("downloading", found.length)
    return found.length
