"""A module on a ``cvs pserver``: its log tells the revisions, each of which is then checked out by its number.

One connection serves a visit. Requests for files are sent ahead of the answers, so that the way to the server and
back is not waited for each time. Keywords are expanded by the server.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import BinaryIO, cast
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from swhkit.plugin import (
    Content,
    InvalidUrl,
    NotFound,
    Target,
    Unavailable,
    VisitContext,
    dial,
    without_secrets,
)
from swhkit_cvs import CvsConfig
from swhkit_cvs.facts import Committed, Facts, FileRow
from swhkit_cvs.folder import PERMS, git_digest
from swhkit_cvs.lineage import DEAD, history, is_vendors
from swhkit_cvs.module import LeftOut, working_name
from swhkit_cvs.rcs import Delta
from swhkit_cvs.rlog import FileLog, parse
from swhkit_cvs.texts import Texts
from swhkit_cvs.wire import RESPONSES, Wire

#: How many requests may be on their way: together small enough for the buffers of any connection.
_AHEAD = 16
#: How many folders of a URL's path may be below the repository.
_DEPTH = 4
#: The scrambling of passwords (cvsclient, "Password scrambling algorithm"): what the characters from 32 to 126 become.
_SCRAMBLED = (
    rb"""rx5O`mHlF@LCtJDWo4Kw1"RQ_ApVvnzi)9S+.f(Y&g-2*{[#}76B|~;/\GsNXkj8$yuhedEIc?^]'%=0:q Z,b<3!a>MTPU"""
)
_SCRAMBLE = bytes.maketrans(bytes(range(32, 127)), _SCRAMBLED)

_NO_NAMES = frozenset((b"", b".", b".."))


class Place(msgspec.Struct, frozen=True):
    """What a pserver URL names: the repository (``root``), and the module in it."""

    root: bytes
    module: bytes


def places(target: Target) -> list[Place]:
    """What a URL may mean, the likeliest first: its last segment is the module, or its last two, three …"""
    names = [name for name in unquote_to_bytes(urlsplit(target.url).path).split(b"/") if name]
    if len(names) < 2 or not _NO_NAMES.isdisjoint(names):
        raise NotFound(f"{without_secrets(target.url)}: write pserver://HOST/PATH/OF/REPOSITORY/MODULE")
    cuts = range(len(names) - 1, max(0, len(names) - 1 - _DEPTH), -1)
    return [Place(b"/" + b"/".join(names[:cut]), b"/".join(names[cut:])) for cut in cuts]


class Pserver:
    """Asks a server for the log of a module and for its files. Leave the ``with`` block of the stack to hang up."""

    def __init__(self, context: VisitContext, target: Target, config: CvsConfig, stack: ExitStack) -> None:
        self._context, self._url = context, without_secrets(target.url)
        self._wire, self._place = self._connected(target, config, stack)

    def note(self, facts: Facts) -> LeftOut:
        """Put all files and their revisions into ``facts``. Raises ``NotFound``, ``Unavailable``, ``LimitExceeded``."""
        self._wire.send(*_argument(self._place.module), b"rlog")
        for done, file in enumerate(parse(self._wire.messages(), self._url)):
            self._context.progress("reading histories", done)
            place = self._place_of(file.path)
            facts.add_revisions(
                facts.number_file(place, working_name(place)), map(_Committed(file), history(file.deltas))
            )
        left_out = LeftOut()  # whatever a server complains of, its log may lack
        for text in self._wire.complaints:
            left_out.add(text, "what the server complains of")
        return left_out

    def contents(self, facts: Facts, count: int) -> Iterator[Content]:
        """The contents of all revisions that are part of a changeset, file by file; their ids go into ``facts``."""
        texts = Texts(self._context.scratch / "texts")
        wanted = self._wanted(facts, count)
        waiting = [self._ask(*one) for one in islice(wanted, _AHEAD)]
        while waiting:
            file, number, seq = waiting.pop(0)
            sent = self._wire.file(texts.builder)
            waiting += [self._ask(*one) for one in islice(wanted, 1)]
            if sent.path not in self._paths_of(file) or sent.number != number:
                raise Unavailable(
                    f"{self._url}: {_text(file.name)} {_text(number)} was asked for, {_text(sent.path)} came"
                )
            facts.set_contents(file.id, [(seq, git_digest(sent.text), PERMS)])
            yield Content(sent.text.source())
            sent.text.close()

    def _wanted(self, facts: Facts, count: int) -> Iterator[tuple[FileRow, bytes, int]]:
        for done, file in enumerate(facts.files()):
            self._context.progress("reading contents", done, count)
            for number, seq in facts.wanted(file.id).items():
                yield file, number, seq

    def _ask(self, file: FileRow, number: bytes, seq: int) -> tuple[FileRow, bytes, int]:
        path = self._place.module + b"/" + file.name
        options = (b"Argument -r", b"Argument " + number, b"Argument --")
        self._wire.send(*options, *_argument(path), b"Directory .", self._place.root, b"co")
        return file, number, seq

    def _paths_of(self, file: FileRow) -> tuple[bytes, bytes]:
        """How a server may name a file: from the root of the repository, or in full."""
        path = self._place.module + b"/" + file.name
        return path, self._place.root + b"/" + path

    def _place_of(self, path: bytes) -> bytes:
        """Where below the module an RCS file of the server lies."""
        place = path.removeprefix(b"/".join((self._place.root, self._place.module, b"")))
        names = place.removesuffix(b",v").split(b"/")
        if place == path or not place.endswith(b",v") or b"\0" in place or not _NO_NAMES.isdisjoint(names):
            raise Unavailable(
                f"{self._url}: the server's log names {_text(path)}, which is no RCS file of the module"
            )
        return place

    def _connected(self, target: Target, config: CvsConfig, stack: ExitStack) -> tuple[Wire, Place]:
        """A connection on which the server has let us in, and what it was."""
        first: NotFound | None = None
        for place in places(target):
            try:
                return self._entered(target, place, config, stack), place
            except NotFound as error:
                first = first or error
        assert first is not None
        raise first

    def _entered(self, target: Target, place: Place, config: CvsConfig, stack: ExitStack) -> Wire:
        deadline = self._context.runner.deadline
        try:
            connection = stack.enter_context(dial(target, deadline))
        except OSError as error:
            raise Unavailable(f"{self._url}: no connection ({error.strerror or error})") from error
        connection.settimeout(config.answer_time)
        stack.enter_context(_cut_at(deadline, connection))
        stream = stack.enter_context(connection.makefile("rwb", buffering=1 << 16))
        wire = Wire(cast(BinaryIO, stream), cast(BinaryIO, stream), self._url, config.max_transfer)
        user, password = _user(target)
        wire.send(
            b"BEGIN AUTH REQUEST", place.root, user, b"A" + password.translate(_SCRAMBLE), b"END AUTH REQUEST"
        )
        answer = wire.line(or_end=True)  # to an unknown root a server says nothing at all
        if answer != b"I LOVE YOU":
            said = f": {_text(answer)}" if answer.startswith((b"E ", b"error ")) else ""
            raise NotFound(
                f"{self._url}: the server has no repository {_text(place.root)}, or not for this user{said}"
            )
        wire.send(b"Root " + place.root, b"Valid-responses " + RESPONSES, b"UseUnchanged")
        return wire


class _Committed:
    """Makes facts of the revisions of one file."""

    def __init__(self, file: FileLog) -> None:
        self._file = file

    def __call__(self, delta: Delta) -> Committed:
        log, vendors = self._file.logs[delta.number], is_vendors(delta.number)
        dead = delta.state == DEAD
        return Committed(delta.number, delta.date, delta.author, log, delta.commitid, dead, vendors)


@contextmanager
def _cut_at(deadline: float | None, connection: socket.socket) -> Iterator[None]:
    """Cut the connection at the deadline (``time.monotonic()``): a server that drips is never silent for long."""

    def cut() -> None:
        with suppress(OSError):  # it may be closed
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(0.0 if deadline is None else max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    if deadline is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _argument(text: bytes) -> list[bytes]:
    """An argument, each further line of which is sent as one that belongs to it."""
    first, *rest = text.split(b"\n")
    return [b"Argument " + first, *(b"Argumentx " + line for line in rest)]


def _user(target: Target) -> tuple[bytes, bytes]:
    """User name and password; without them, those of the custom."""
    parts = urlsplit(target.url)
    user = unquote_to_bytes(parts.username or "anonymous")
    password = unquote_to_bytes(parts.password or "")
    if any(not 32 <= byte < 127 for byte in user + password):
        raise InvalidUrl(
            f"{without_secrets(target.url)}: user name and password have to be plain ASCII for a pserver"
        )
    return user, password


def _text(data: bytes) -> str:
    """What a server has said, as it may stand in a text."""
    return "".join(c if c.isprintable() else "?" for c in data[-200:].decode("utf-8", "backslashreplace"))
