"""Mercurial's wire protocol, version 1 (``hg help internals.wireprotocol``): what a peer has, and all of it as a bundle.

A peer is asked little, so that any server of the last fifteen years can answer: its branches and bookmarks, to tell
whether anything is new, and a bundle of everything. Secret and obsolete changesets are not shown by servers.
"""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit, urlunsplit

import msgspec

from swhkit.plugin import Downloaded, LimitExceeded, VisitContext, download, fetch
from swhkit_hg.bundle import OFFER
from swhkit_hg.errors import Broken, CutShort
from swhkit_hg.stream import Source, decompressed, exactly

#: Bytes of a list of branches or bookmarks.
LISTING_LIMIT = 32 << 20
#: Lines that may come before a server's own words (a login's greeting), and bytes of one.
_GREETING, _LINE = 500, 1 << 20
#: Bytes of a line with a length; Python itself refuses numbers of thousands of digits.
_DIGITS = 40
_CAPS = b"HG20,bundle2=" + quote(OFFER, safe="").encode("ascii")
#: What is asked: everything (no heads, nothing in common), as a bundle of version 2 if the server can.
_EVERYTHING = {b"bundlecaps": _CAPS, b"cg": b"1"}


class Listing(msgspec.Struct, frozen=True):
    """What a peer says it has: nodes of the heads (closed ones too) of each named branch, and of each bookmark."""

    branches: Mapping[bytes, frozenset[bytes]]
    bookmarks: Mapping[bytes, bytes]


class Peer(Protocol):
    """Somebody who has a repository."""

    def listing(self) -> Listing | None:
        """What it has, if that can be told without reading it. Raises ``Broken``."""

    @contextmanager
    def bundle(self) -> Iterator[Source]:
        """All of it, as a stream."""


class BundleFile:
    """A bundle on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def listing(self) -> Listing | None:
        """None: what is in the bundle is only seen by reading it. Raises ``Broken`` if it is none."""
        with self._path.open("rb") as file:
            if not file.read(2) == b"HG":
                raise Broken("the file is no Mercurial bundle")
        return None

    @contextmanager
    def bundle(self) -> Iterator[Source]:
        """The bundle itself."""
        with self._path.open("rb", buffering=1 << 18) as file:
            yield file


class Stdio:
    """A server that was started for us, at the other end of pipes."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._stdin, self._stdout = stdin, stdout
        self._capabilities = self._greet()
        self._listing = self._listed()

    def listing(self) -> Listing | None:
        """What the server has; None if it is too old to say. It was asked when this was made."""
        return self._listing

    @contextmanager
    def bundle(self) -> Iterator[Source]:
        """Everything the server has; nothing can be asked of it after that."""
        if b"getbundle" not in self._capabilities:
            raise Broken("the server is older than Mercurial 1.9, and cannot send a bundle")
        self._send(b"getbundle\n* %d\n" % len(_EVERYTHING), _EVERYTHING)
        yield self._stdout

    def _listed(self) -> Listing | None:
        if not {b"branchmap", b"pushkey"} <= self._capabilities:
            return None
        branches, bookmarks = self._call(b"branchmap"), self._call(b"listkeys", namespace=b"bookmarks")
        return Listing(_branches(branches), _bookmarks(bookmarks))

    def _greet(self) -> set[bytes]:
        """Introduce ourselves; returns what the server can do."""
        self._send(b"hello\nbetween\n", {b"pairs": b"0" * 40 + b"-" + b"0" * 40})
        found, before = set[bytes](), b""
        for _ in range(_GREETING):
            line = self._stdout.readline(_LINE)
            if line.startswith(b"capabilities:"):
                found = set(line.split()[1:])
            if not line or (before == b"1\n" and line == b"\n"):
                break
            before = line
        if not found:
            raise CutShort("no Mercurial server answers")
        return found

    def _call(self, command: bytes, **arguments: bytes) -> bytes:
        self._send(command + b"\n", {name.encode("ascii"): value for name, value in arguments.items()})
        line = self._stdout.readline(_LINE)
        if not line:
            raise CutShort("it ends in the middle")
        if not line.strip().isdigit() or len(line) > _DIGITS:
            raise Broken(f"the server has no answer to {command.decode('ascii')}")
        if (length := int(line)) > LISTING_LIMIT:
            raise LimitExceeded(
                f"the server's list of branches or bookmarks has more than {LISTING_LIMIT} bytes"
            )
        return exactly(self._stdout, length)

    def _send(self, command: bytes, arguments: Mapping[bytes, bytes]) -> None:
        words = [b"%s %d\n%s" % (name, len(value), value) for name, value in arguments.items()]
        try:
            self._stdin.write(command + b"".join(words))
            self._stdin.flush()
        except BrokenPipeError:
            raise Broken("the server has ended") from None


class Web:
    """A server that is asked over http or https; or a bundle that lies on one, if it is named like one.

    ``listing_time``: seconds within which it must have said what it has.
    """

    def __init__(self, context: VisitContext, url: str, listing_time: float) -> None:
        self._context, self._parts = context, urlsplit(url)
        self._deadline = time.monotonic() + listing_time
        if context.runner.deadline is not None:
            self._deadline = min(self._deadline, context.runner.deadline)
        self._file: BundleFile | None = None

    def listing(self) -> Listing | None:
        """What the server has; None if it is too old to say, or there is a file. Raises ``NotFound``."""
        try:
            capabilities = set(self._ask(b"capabilities").split())
        except Broken:
            if not self._parts.path.endswith(".hg"):
                raise
            self._file = BundleFile(self._downloaded(urlunsplit(self._parts._replace(fragment=""))).path)
            return self._file.listing()
        if not {b"branchmap", b"pushkey"} <= capabilities:
            return None
        return Listing(
            _branches(self._ask(b"branchmap")), _bookmarks(self._ask(b"listkeys", namespace=b"bookmarks"))
        )

    @contextmanager
    def bundle(self) -> Iterator[Source]:
        """Everything the server has, once it has come whole."""
        if self._file is not None:
            with self._file.bundle() as source:
                yield source
            return
        arguments = {name.decode("ascii"): value for name, value in _EVERYTHING.items()}
        found = self._downloaded(self._url(b"getbundle", arguments))
        with found.path.open("rb", buffering=1 << 18) as file:
            _require_mercurial(found.content_type, lambda: file.read(1000))
            yield decompressed(file, "GZ")

    def _downloaded(self, url: str) -> Downloaded:
        return download(
            self._context.network,
            url,
            self._context.scratch / "origin.bundle",
            limit=self._context.limits.max_pack_size,
            deadline=self._context.runner.deadline,
            tell=lambda size: self._context.progress("downloading", size),
        )

    def _ask(self, command: bytes, **arguments: bytes) -> bytes:
        url = self._url(command, arguments)
        with fetch(self._context.network, url, deadline=self._deadline) as answer:
            answer.check()
            body = answer.whole(LISTING_LIMIT, "the largest list of branches that is read")
            _require_mercurial(answer.headers.get("Content-Type"), lambda: body)
        return body

    def _url(self, command: bytes, arguments: Mapping[str, bytes]) -> str:
        query = urlencode({"cmd": command, **arguments})
        return urlunsplit(self._parts._replace(query=query, fragment=""))


#: Content types of answers (the last is that of servers before Mercurial 1.0).
_MERCURIAL = frozenset({"application/mercurial-0.1", "application/hg-changegroup"})


def _require_mercurial(content_type: str | None, body: Callable[[], bytes]) -> None:
    """Raise ``Broken`` unless an answer is Mercurial's, by its type."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == "application/hg-error":
        raise Broken(f"the server says: {_said(body())}")
    if kind not in _MERCURIAL:
        raise Broken("the server answers, but not as a Mercurial server does")


def _said(body: bytes) -> str:
    text = body[:300].decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split()) or "nothing"


def _branches(answer: bytes) -> dict[bytes, frozenset[bytes]]:
    """Lines ``NAME HEX HEX…``, the names percent-encoded."""
    found = {}
    for line in answer.splitlines():
        name, *nodes = line.split(b" ")
        found[unquote_to_bytes(name)] = frozenset(_node(node) for node in nodes)
    return found


def _bookmarks(answer: bytes) -> dict[bytes, bytes]:
    """Lines ``NAME TAB HEX``."""
    found = {}
    for line in answer.split(b"\n"):
        name, tab, node = line.rpartition(b"\t")
        if tab:
            found[name] = _node(node)
    return found


def _node(text: bytes) -> bytes:
    try:
        node = binascii.unhexlify(text)
    except binascii.Error:
        node = b""
    if len(node) != 20:
        raise Broken(f"the server names a node that is none ({text[:50]!r})")
    return node
