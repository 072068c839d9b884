"""Asks a remote for its refs, and for proof that it speaks git.

An HTTP 200 with a login page counts as an empty repository to ``git ls-remote``. So git's own events are kept in a
file of ours: only where git has settled on a version of its protocol is the answer believed. Where a remote lists no
``HEAD`` it is asked once more for that alone, with a trace of what goes over the wire: it has what ``ls-remote`` does
not print, the branch that an unborn ``HEAD`` names (protocol 2, gitprotocol-v2).
"""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from swhkit.plugin import (
    REDIRECTS,
    ChildFailed,
    ChildTimeout,
    Git,
    LimitExceeded,
    Network,
    NotFound,
    SshKeys,
    Target,
    Unavailable,
    curl_resolve,
    pinned_url,
    without_secrets,
)
from swhkit_git.classify import Failure, failure_of, visit_error
from swhkit_git.local import hidden_symrefs
from swhkit_git.probe import busy_for, redirected
from swhkit_git.refs import Listing
from swhkit_git.ssh import ssh_environment
from swhkit_git.watch import memory_of, run_watched

#: Bytes of a list of refs (some 400,000 of them), and of the memory (or the trace) that git may need for it.
LISTING_LIMIT, MEMORY_LIMIT = 32 << 20, 512 << 20

#: git's event (api-trace2) when it has found out the version of the protocol that the other end speaks.
_PROOF = re.compile(rb'"key":"negotiated-version","value":"[012]"')
#: What the remote said, as our git understood it: lines of an upload-pack that is a child of ours are left out.
_HEARD = re.compile(rb"\S+ \S+ +packet: +(?!upload-pack)[^ <>]+< (.*)")
_UNBORN = re.compile(rb"unborn HEAD symref-target:(\S+)")
#: What git says of an answer that is not even a list of the dumb protocol.
_NO_LIST = re.compile(r"^fatal: \S+/info/refs not valid: ", re.MULTILINE)
#: What git says of a server that is busy.
_BUSY = re.compile(r"The requested URL returned error: (?:429|503)\b")
#: A byte beyond ASCII as the trace writes it; where ``char`` has a sign, as the 32 bits of a negative number.
_OCTAL = re.compile(rb"\\(?:37777777)?([0-7]{3})")


class NotGit(Unavailable):
    """A web server answers, but not as a git server does."""


class Address(msgspec.Struct, frozen=True):
    """How git is told where the remote is: the argument, and the environment that pins the addresses checked.

    ``url`` is for texts only: it has no credentials. ``path`` is set for what lies on this machine.
    """

    url: str
    text: str
    environment: Mapping[str, str]
    path: Path | None

    @property
    def is_http(self) -> bool:
        """Whether the remote must prove that it speaks git."""
        return self.text.startswith(("http://", "https://"))


def address_of(target: Target, keys: SshKeys = SshKeys()) -> Address:  # noqa: B008 (frozen)
    """The address of a checked target.

    A local path is given to git as a path: git reads a bundle in no other way, and nothing in a path can be taken for
    a transport. The connection goes to the address that was checked: curl is told it, ``git://`` names it. Whatever
    a configuration says, a local repository's too, no other protocol is spoken. ``keys`` are for ssh.
    """
    environment = {"GIT_ALLOW_PROTOCOL": target.scheme}
    text = target.url
    if target.path is not None:
        text = str(target.path)
    elif target.scheme == "ssh":
        text = target.scp or target.url
        environment |= ssh_environment(target, keys)
    elif resolve := curl_resolve(target):
        environment |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.curloptResolve",
            "GIT_CONFIG_VALUE_0": resolve,
        }
    elif target.scheme == "git" and (pinned := pinned_url(target)) != target.url:
        text = pinned
        port = f":{target.port}" if target.port else ""
        environment["GIT_OVERRIDE_VIRTUAL_HOST"] = f"{target.host}{port}"
    return Address(without_secrets(target.url), text, environment, target.path)


def reach(
    network: Network,
    target: Target,
    git: Git,
    trace: Path,
    *,
    keys: SshKeys = SshKeys(),  # noqa: B008 (frozen)
    bundle: Callable[[Target], Path | None] = lambda _: None,
) -> tuple[Address, Listing]:
    """The address that answers for ``target`` (after at most ``REDIRECTS`` redirects, each checked) and its refs.

    Where a web server does not speak git there, or has nothing there for git though the name is a bundle's, ``bundle``
    is called for the file to read instead. Raises ``NotFound``, ``Unavailable``, ``LimitExceeded``.
    """
    for _ in range(REDIRECTS + 1):
        address = address_of(target, keys)
        try:
            listing = _ask(address, git, trace)
        except (NotFound, Unavailable) as error:
            if isinstance(error, Unavailable) and address.is_http and _BUSY.search(str(error)):
                wait = busy_for(network, target, git.runner.deadline)
                raise Unavailable(str(error), wait) from error
            named = urlsplit(target.url).path.endswith(".bundle")
            if not address.is_http or not (named or isinstance(error, NotGit)):
                raise
            if (file := bundle(target)) is None:
                raise
            address = Address(address.url, str(file), {"GIT_ALLOW_PROTOCOL": "file"}, file)
            return address, list_refs(address, git, trace)
        if listing is not None:
            return address, listing
        target = redirected(network, target, git.runner.deadline)
    raise Unavailable(
        f"{without_secrets(target.url)}: more than {REDIRECTS} redirects; use the URL they lead to"
    )


def list_refs(address: Address, git: Git, trace: Path) -> Listing:
    """The refs of a remote, those of HEAD unborn and of broken local symbolic refs included.

    Raises ``NotFound``, ``Unavailable`` (also if the answer is not git's, or of SHA-256), ``LimitExceeded``.
    """
    listing = _ask(address, git, trace)
    if listing is None:
        raise Unavailable(f"{address.url}: the server redirects now, and did not before")
    return listing


def _ask(address: Address, git: Git, trace: Path) -> Listing | None:
    """As ``list_refs``; None for an HTTP redirect."""
    try:
        output, events = _ls_remote(address, git, trace, "GIT_TRACE2_EVENT")
        if address.is_http and not _PROOF.search(events):
            raise _not_git(address)
        refs, symrefs = _parse(address.url, output)
        if b"HEAD" not in refs and b"HEAD" not in symrefs:
            _, packets = _ls_remote(address, git, trace, "GIT_TRACE_PACKET", "HEAD")
            symrefs |= _unborn(address, packets)
    except ChildTimeout as error:
        raise Unavailable(f"{address.url}: the server did not list its branches in time") from error
    except ChildFailed as error:
        if failure_of(error.stderr) is Failure.REDIRECT:
            return None
        if _NO_LIST.search(error.stderr):
            raise _not_git(address) from error
        raise visit_error(address.url, error.stderr) from error
    if address.path is not None and address.path.is_dir():
        symrefs |= dict(hidden_symrefs(address.path, refs.keys()))
    return Listing(refs, symrefs)


def _not_git(address: Address) -> NotGit:
    return NotGit(
        f"{address.url}: the server answers, but not as a git server does (a web page, or the old dumb protocol)"
    )


def _ls_remote(address: Address, git: Git, trace: Path, tracer: str, *pattern: str) -> tuple[bytes, bytes]:
    """What ``git ls-remote`` prints, and what the ``tracer`` (an environment variable of git's) has noted."""
    trace.write_bytes(b"")
    output = run_watched(
        git,
        ["ls-remote", "--symref", "--", address.text, *pattern],
        lambda pid: _bound(address, pid, trace),
        env={**address.environment, tracer: str(trace)},
        most=LISTING_LIMIT,
    )
    with trace.open("rb") as file:
        noted = file.read(LISTING_LIMIT)
    trace.unlink()
    return output, noted


def _bound(address: Address, pid: int, trace: Path) -> None:
    if max(memory_of(pid), trace.stat().st_size) > MEMORY_LIMIT:
        raise LimitExceeded(f"{address.url}: git needs more than {MEMORY_LIMIT} bytes for its list of refs")


def _unborn(address: Address, packets: bytes) -> dict[bytes, bytes]:
    """HEAD and its target, if the remote told an unborn one. Raises ``Unavailable`` if its ids are of SHA-256."""
    found = {}
    for line in io.BytesIO(packets):
        heard = _HEARD.match(line)
        if heard and (match := _UNBORN.fullmatch(heard[1])):
            # A backslash itself is in no ref name.
            found[b"HEAD"] = _OCTAL.sub(lambda m: bytes([int(m[1], 8) & 0xFF]), match[1])
        elif heard and b"object-format=sha256" in heard[1].rpartition(rb"\0")[2].split():
            raise _sha256(address.url)
    return found


def _parse(url: str, output: bytes) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Refs and symbolic refs of what ``ls-remote --symref`` prints: ``HEX TAB NAME`` and ``ref: TARGET TAB NAME``."""
    refs: dict[bytes, bytes] = {}
    symrefs: dict[bytes, bytes] = {}
    for line in io.BytesIO(output):
        what, tab, rest = line.partition(b"\t")
        name = rest[:-1]
        if not tab or not name:
            raise Unavailable(f"{url}: the list of refs has a line that cannot be read: {line[:100]!r}")
        if what.startswith(b"ref: "):
            symrefs[name] = what[5:]
        elif len(what) == 64:
            raise _sha256(url)
        else:
            refs[name] = _digest(url, what)
    return refs, symrefs


def _digest(url: str, hexadecimal: bytes) -> bytes:
    try:
        digest = binascii.unhexlify(hexadecimal)
    except binascii.Error:
        digest = b""
    if len(digest) != 20:
        raise Unavailable(f"{url}: the list of refs has an id that cannot be read: {hexadecimal[:100]!r}")
    return digest


def _sha256(url: str) -> Unavailable:
    return Unavailable(
        f"{url}: a sha256 repository; only SHA-1 objects have SWHIDs, so it cannot be archived"
    )
