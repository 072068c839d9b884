"""How Subversion's programs reach a repository that was checked, and what they say when they cannot.

They ask no questions, read and leave no credentials, and connect to the address that was checked.
"""

from __future__ import annotations

import copy
import itertools
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit
from xml.etree import ElementTree

import msgspec

from swhkit.plugin import (
    ChildFailed,
    ChildTimeout,
    Egress,
    InvalidUrl,
    LimitExceeded,
    NotFound,
    Runner,
    SshKeys,
    SwhkitError,
    Target,
    Unavailable,
    VisitContext,
    egress,
    pinned_url,
    without_secrets,
)
from swhkit_svn.dump import PIECE, Damaged, Dump, NodeRecord, Properties, RevisionRecord
from swhkit_svn.externals import contains
from swhkit_svn.ssh import ssh_environment
from swhkit_svn.texts import Text, Workshop

#: Subversion's and the system's numbers of errors that may be gone the next time (connections, name look-up, serf).
_PASSING = re.compile(r"E(?:0001(?:0[1-4]|1[0-3])|6700\d\d|120\d\d\d|210002|175012|175002)\b")
#: Seconds that an HTTP server may be silent.
_HTTP_SECONDS = 120
#: Bytes that a description of one path may have; seconds it may take.
_INFO_LIMIT, _INFO_SECONDS = 1 << 20, 120.0
_HTTP = ("http", "https")
#: The ports of the other schemes; Subversion leaves them out of a URL.
_PORTS = {"svn": 3690, "svn+ssh": 22}
#: What ``svn cat`` writes before a text that it was led to.
_REDIRECTING = b"Redirecting to URL '"
#: Subversion's configuration: it starts no ssh but the one it is given (else it would be ``ssh``, with what keys there are).
_CONFIG = "[tunnels]\nssh = $SVN_SSH false\n"


class Info(msgspec.Struct, frozen=True):
    """What a repository says of one URL: ``revision`` is the one it was looked up at, ``changed`` the last that
    changed it, ``kind`` ``file`` or ``dir``."""

    url: str
    root: str
    uuid: str
    kind: str
    revision: int
    changed: int


class Reach:
    """Makes the ways to the repositories of one visit: how Subversion's programs are set up, and the proxy of ours that
    all they do over HTTP goes through, so that every destination is judged, redirections included.

    ``within``: what is entered there is left at the visit's end.
    """

    def __init__(
        self, context: VisitContext, origin: Target, ssh_config: Path | None, within: ExitStack
    ) -> None:
        self._context, self._origin, self._ssh_config, self._within = context, origin, ssh_config, within
        self._plain = self._settings("settings", "")
        self._proxy: Egress | None = None

    def access(self, target: Target, *, own_keys: bool) -> Access:
        """The way to a checked target; ``own_keys``: whether ssh may use those of the user whose process this is."""
        settings = self._through_proxy() if target.scheme in ("http", "https") else self._plain
        return Access(self._context.runner, target, settings, SshKeys(self._ssh_config, own=own_keys))

    def cause(self) -> SwhkitError | None:
        """What the proxy knows of why a program has failed."""
        return self._proxy.cause() if self._proxy is not None else None

    def limit(self) -> LimitExceeded | None:
        """That more has come than may, if so."""
        cause = self.cause()
        return cause if isinstance(cause, LimitExceeded) else None

    def _through_proxy(self) -> Path:
        if self._proxy is None:
            context = self._context
            limit, deadline = context.limits.max_pack_size, context.runner.deadline
            self._proxy = self._within.enter_context(
                egress(context.network, self._origin, limit=limit, deadline=deadline)
            )
            servers = (
                f"[global]\nhttp-timeout = {_HTTP_SECONDS}\nhttp-proxy-host = {self._proxy.host}\n"
                f"http-proxy-port = {self._proxy.port}\nhttp-proxy-username = {self._proxy.user}\n"
                f"http-proxy-password = {self._proxy.password}\n"
            )
            self._settings("settings-http", servers)
        return self._context.scratch / "settings-http"

    def _settings(self, name: str, servers: str) -> Path:
        """A private folder with Subversion's configuration."""
        folder = self._context.scratch / name
        folder.mkdir(mode=0o700, exist_ok=True)
        for kind, text in (("servers", servers), ("config", _CONFIG)):
            file = folder / kind
            file.touch(mode=0o600)
            file.write_text(text, encoding="ascii")
        return folder


class Access:
    """A way to the repositories of one checked target. ``settings``: a folder with Subversion's configuration."""

    def __init__(self, runner: Runner, target: Target, settings: Path, keys: SshKeys) -> None:
        self.target = target
        self._options = ["--non-interactive", "--no-auth-cache", "--config-dir", str(settings)]
        self._password: bytes | None = None
        environment = {"LC_ALL": "C.UTF-8"}
        self.url = _canonical(self._without_user(target))
        if target.scheme == "svn+ssh":
            environment |= ssh_environment(target, keys)
        self.runner = runner.with_(environment=environment)

    def _without_user(self, target: Target) -> str:
        """The URL as it may stand in a list of processes, with the checked address where the protocol allows it."""
        parts = urlsplit(target.url)
        user, at, place = parts.netloc.rpartition("@")
        if target.scheme == "svn+ssh":  # the port is given to ssh
            if ":" in user:
                raise InvalidUrl(
                    f"{without_secrets(target.url)}: ssh takes no password from a URL; use a key"
                )
            place = place if target.port is None else place.rpartition(":")[0]
            return urlunsplit(parts._replace(netloc=f"{user}{at}{place}"))
        if at:
            name, colon, password = user.partition(":")
            if not colon and target.scheme != "svn":
                raise InvalidUrl(
                    f"{without_secrets(target.url)}: a user name alone, which may be a token, would be seen in the list "
                    "of processes; write USER:PASSWORD@"
                )
            self._options += ["--username", unquote(name)]
            if colon:
                self._password = unquote(password).encode("utf-8") + b"\n"
                self._options.append("--password-from-stdin")
        parts = urlsplit(pinned_url(target)) if target.scheme == "svn" else parts
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def is_secret(self) -> bool:
        """Whether a password is told."""
        return self._password is not None

    def info(self, url: str, peg: str = "", revision: str | None = None) -> Info:
        """What is at ``url`` (at the peg revision, then followed to ``revision``). Raises ``ChildFailed``."""
        at = ["-r", revision] if revision else []
        argv = ["svn", "info", "--xml", *at, *self._options, "--", f"{url}@{peg}"]
        done = self.runner.run(argv, input=self._password, max_output=_INFO_LIMIT, timeout=_INFO_SECONDS)
        found = _parse_info(done.stdout, url)
        if not (self._is_ours(found.url) and contains(found.root, found.url)):
            raise Unavailable(
                f"{without_secrets(url)}: the server leads to {without_secrets(found.url)} in the repository "
                f"{without_secrets(found.root)}, where it may not lead"
            )
        return found

    def _is_ours(self, url: str) -> bool:
        """Whether a URL that a server's answer led to is one that this way was made for. Subversion follows redirections
        to any scheme, those of this machine's files and of ssh too; only what it does over HTTP is judged by the
        proxy."""
        ours, theirs = urlsplit(self.url), urlsplit(url)
        if ours.scheme in _HTTP:
            return theirs.scheme in _HTTP
        port = _PORTS.get(ours.scheme)
        return (ours.scheme, ours.hostname, ours.port or port) == (
            theirs.scheme,
            theirs.hostname,
            theirs.port or port,
        )

    @contextmanager
    def dump(
        self, url: str, revisions: str, *, incremental: bool = False, seconds: float | None = None
    ) -> Iterator[Records]:
        """The records of a dump of what is below ``url``, with paths from the root of the repository."""
        only = ["--incremental"] if incremental else []
        argv = ["svnrdump", "dump", "-q", "-r", revisions, *only, *self._options, "--", url]
        with _dumping(self.runner, argv, self._password, seconds) as records:
            yield records

    def properties(self, url: str, revision: int) -> Properties:
        """The properties of one file, of those that shape its export. Raises ``ChildFailed``."""
        argv = [
            "svn",
            "proplist",
            "--verbose",
            "--xml",
            "-r",
            str(revision),
            *self._options,
            "--",
            f"{url}@{revision}",
        ]
        done = self.runner.run(argv, input=self._password, max_output=_INFO_LIMIT, timeout=_INFO_SECONDS)
        try:
            found = ElementTree.fromstring(done.stdout).iter("property")  # noqa: S314 - as in _parse_info
            return {(one.get("name") or "").encode(): (one.text or "").encode() for one in found}
        except ElementTree.ParseError as error:
            raise Unavailable(f"{without_secrets(url)}: its properties cannot be read ({error})") from error

    def text(self, url: str, revision: int, workshop: Workshop, seconds: float | None) -> Text:
        """The text of one file as the repository has it. Raises ``ChildFailed``, ``LimitExceeded``."""
        argv = [
            "svn",
            "cat",
            "--ignore-keywords",
            "-r",
            str(revision),
            *self._options,
            "--",
            f"{url}@{revision}",
        ]
        with self.runner.start(argv, stdin=self._password is not None, timeout=seconds) as child:
            if self._password is not None:
                child.feed([self._password])
            begin = _begin(child.stdout, len(_REDIRECTING))
            if (
                begin == _REDIRECTING and urlsplit(self.url).scheme in _HTTP
            ):  # where the text is from, nobody has judged
                raise Unavailable(
                    f"{without_secrets(url)}: the server leads elsewhere, though it did not before"
                )
            text = workshop.text(itertools.chain([begin], iter(lambda: child.stdout.read(PIECE), b"")))
            child.wait()
        return text

    def at(self, url: str) -> Access:
        """The same way to another URL of the repository."""
        other = copy.copy(self)
        other.url = _canonical(url)
        return other


class Records(msgspec.Struct, frozen=True):
    """A dump being read, and its records; they end with ``Damaged`` unless the program that writes it ends well."""

    dump: Dump
    records: Iterator[RevisionRecord | NodeRecord]


@contextmanager
def dump_local(root: Path, runner: Runner, revisions: str, *, incremental: bool = False) -> Iterator[Records]:
    """The records of a dump of a whole repository on this machine, in full texts; nothing of it is run or written."""
    only = ["--incremental"] if incremental else []
    argv = ["svnadmin", "dump", "-q", "-r", revisions, *only, "--", str(root)]
    with _dumping(runner.with_(environment={"LC_ALL": "C.UTF-8"}), argv, None, None) as records:
        yield records


def youngest(root: Path, runner: Runner) -> int:
    """The last revision of a local repository. Raises ``ChildFailed``."""
    return int(runner.run(["svnlook", "youngest", "--", str(root)], max_output=100).stdout)


@contextmanager
def _dumping(
    runner: Runner, argv: Sequence[str], password: bytes | None, seconds: float | None
) -> Iterator[Records]:
    with runner.start(argv, stdin=password is not None, timeout=seconds) as child:
        if password is not None:
            child.feed([password])
        dump = Dump(child.stdout)

        def records() -> Iterator[RevisionRecord | NodeRecord]:
            try:
                yield from dump.records()
            except Damaged as error:
                if child.ended(1.0) and child.wait(check=False) != 0:
                    raise Damaged(words(child.stderr())) from error
                raise
            if child.wait(check=False) != 0:
                raise Damaged(words(child.stderr()))

        yield Records(dump, records())


def _parse_info(document: bytes, url: str) -> Info:
    try:
        entry = ElementTree.fromstring(document).find("entry")  # noqa: S314 - our own child wrote it, escaping what it quotes
        assert entry is not None
        commit = entry.find("commit")
        return Info(
            entry.findtext("url") or "",
            entry.findtext("repository/root") or "",
            entry.findtext("repository/uuid") or "",
            entry.get("kind") or "",
            int(entry.get("revision") or 0),
            int((commit.get("revision") if commit is not None else None) or 0),
        )
    except (ElementTree.ParseError, AssertionError, ValueError) as error:
        raise Unavailable(f"{without_secrets(url)}: what svn says of it cannot be read ({error})") from error


def _begin(stream: BinaryIO, length: int) -> bytes:
    """The first bytes of a stream; fewer only where it ends."""
    begin = b""
    while len(begin) < length and (piece := stream.read(length - len(begin))):
        begin += piece
    return begin


def _canonical(url: str) -> str:
    """A URL without slashes at its end, which Subversion does not like."""
    return url.rstrip("/")


def passes(error: ChildFailed) -> bool:
    """Whether asking again may help."""
    return isinstance(error, ChildTimeout) or _PASSING.search(error.stderr) is not None


def not_found(url: str, error: ChildFailed, deadline: float | None) -> NoReturn:
    """Raise ``NotFound``, saying what Subversion said; the error itself where the visit's own time was up."""
    if isinstance(error, ChildTimeout) and deadline is not None and time.monotonic() >= deadline:
        raise error
    said = words(error.stderr)
    raise NotFound(
        f"{without_secrets(url)}: there is no Subversion repository, or it does not answer: {said}"
    ) from error


def words(text: str) -> str:
    """What a program of Subversion has said, in one line."""
    lines = [line for line in text.splitlines() if line.startswith("svn")] or text.splitlines()
    return ("; ".join(lines[:3]) or "it said nothing")[:500]
