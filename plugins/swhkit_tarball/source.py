"""The file an origin is: read where it lies, or downloaded, and hashed before anything is made of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from swhkit.plugin import Target, Unavailable, VisitContext, download, without_secrets
from swhkit_tarball.checksums import Sums, difference

#: Digests of every file that is loaded, asked for or not: they are kept with it.
ALWAYS = ("sha1", "sha256")
_PIECE = 1 << 20


class Source(msgspec.Struct, frozen=True):
    """A file: where it lies, where it came from (without passwords), what it is called, its bytes and digests.

    ``stamp`` tells whether it was changed since it was hashed.
    """

    path: Path
    url: str
    name: str
    length: int
    sums: dict[str, bytes]
    stamp: tuple[int, int, int]

    def verify(self, wanted: Mapping[str, bytes]) -> None:
        """Raises ``Unavailable`` unless the file has these digests."""
        wrong = difference(wanted, self.sums)
        if wrong:
            raise Unavailable(f"{self.url} is not what it should be: {wrong}")

    def still(self) -> None:
        """Raises ``Unavailable`` if the file has changed since it was hashed."""
        try:
            now = _stamp(self.path.stat())
        except OSError as error:
            raise _unreadable(self.url, error) from None
        if now != self.stamp:
            raise Unavailable(f"{self.url} changed while it was read: try again")


@contextmanager
def opened(context: VisitContext, url: str, algorithms: Collection[str] = ()) -> Iterator[Source]:
    """The file at ``url`` for the time of the block, with ``ALWAYS`` and these digests.

    A local file that is not there is ``Unavailable`` and not ``NotFound``: a disk that is not mounted looks the same, and
    says nothing about the origin. Raises what ``download`` raises, and ``Unavailable``, ``InvalidUrl``.
    """
    target = context.network.check(url)
    if target.path is not None:
        yield _local(context, target.path, public(url), {*ALWAYS, *algorithms})
        return
    file = context.scratch / "download"
    try:
        filename = _downloaded(context, target, file)
        source = _local(context, file, public(url), {*ALWAYS, *algorithms})
        yield msgspec.structs.replace(source, name=filename or source.name)
    finally:
        file.unlink(missing_ok=True)


def _downloaded(context: VisitContext, target: Target, file: Path) -> str:
    """Bring what is at a URL; returns the name that the server gives it."""
    context.progress("downloading")
    found = download(
        context.network,
        target,
        file,
        limit=context.limits.max_pack_size,
        deadline=context.runner.deadline,
        tell=lambda size: context.progress("downloading", size),
    )
    return found.filename


def _local(context: VisitContext, path: Path, url: str, algorithms: Collection[str]) -> Source:
    sums, length = Sums(sorted(algorithms)), 0
    try:
        before = _regular(path.stat(), url)
        with path.open("rb", buffering=0) as file:
            _regular(os.fstat(file.fileno()), url)
            while piece := file.read(_PIECE):
                sums.update(piece)
                length += len(piece)
                context.progress("hashing the file", length, before.st_size)
    except OSError as error:
        raise _unreadable(url, error) from None
    source = Source(path, url, _name(url), length, sums.finish(), _stamp(before))
    source.still()
    return source


def _regular(status: os.stat_result, url: str) -> os.stat_result:
    if stat.S_ISREG(status.st_mode):
        return status
    what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
    raise Unavailable(f"{url} is {what}: an archive or a file was expected")


def _unreadable(url: str, error: OSError) -> Unavailable:
    if isinstance(error, FileNotFoundError):
        return Unavailable(f"{url}: there is no such file on this machine (or its disk is not mounted)")
    return Unavailable(f"{url}: cannot be read ({error.strerror})")


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _name(url: str) -> str:
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2], errors="surrogateescape")


def public(url: str) -> str:
    """``url`` without user name and password: fit for messages, and for what is kept."""
    if "://" not in url:
        return without_secrets(url)
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else url
