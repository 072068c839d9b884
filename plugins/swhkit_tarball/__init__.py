"""Loads archive files and single files: visit types ``tarball-directory``, ``tar``, ``content`` and ``directory``.

An archive is read as a stream of members and never extracted; what is refused, and how much is taken, stands in the
settings. Where the bytes come from is decided in ``source``, what an archive becomes in ``unpacked``, what is told of it
beside its objects in ``facts``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

import msgspec

from swhkit.plugin import Provider, Size, hookimpl, url_form
from swhkit_tarball.checksums import parse_checksums
from swhkit_tarball.versions import parse_time

#: Paths that end as the names of archives do.
_ENDING = re.compile(
    r".*[^/]\.(?:tar(?:\.(?:gz|bz2|xz|lzma|lz|zst|z))?|t(?:gz|bz2?|xz|lz|zst|az)|zip|jar|war|ear|whl|egg|crate|gem"
    r"|nar(?:\.(?:gz|bz2|xz|zst))?|7z|cpio|deb|rpm|iso|cab|lzh|lha|xar|rar)",
    re.IGNORECASE | re.DOTALL,
)
#: What a local folder has that is another loader's: files and folders by which repositories are known.
_MARKS = (
    ".git", "HEAD", ".hg", ".svn", "format", ".bzr", "CVS", "CVSROOT", "_darcs", ".fslckout", ".fossil", ".pijul",
    "_MTN",
)  # fmt: skip
_Positive = msgspec.Meta(gt=0)
_Checksums = Annotated[
    dict[str, str], msgspec.Meta(description="What the file must hash to; nothing is loaded if it does not.")
]
_Layout = Annotated[
    Literal["standard", "nar"],
    msgspec.Meta(
        description="Checksums of the file (standard), or of the Nix archive of what it holds (nar)."
    ),
]


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one archive may hold; an archive that exceeds it is not loaded."""

    max_file_size: Annotated[
        Size, _Positive, msgspec.Meta(description="Bytes of one member of an archive.")
    ] = 1 << 30
    max_total_size: Annotated[
        Size, _Positive, msgspec.Meta(description="Bytes of all members of an archive.")
    ] = 10 << 30
    max_ratio: Annotated[
        int, _Positive, msgspec.Meta(description="Bytes that come out of an archive for each byte of it.")
    ] = 200
    max_members: Annotated[
        int, _Positive, msgspec.Meta(description="Members of an archive, folders included.")
    ] = 1_000_000
    max_depth: Annotated[
        int, _Positive, msgspec.Meta(description="Folders within folders in an archive.")
    ] = 2048


class TarballConfig(Bounds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Loading of one archive (``tarball-directory``), or of an archive or local folder (``directory``).

    ``checksums``: what the archive must hash to, algorithm → hex, base64, Nix's base 32, or ``ALGO-BASE64``; nothing is
    loaded if it does not. ``checksum_layout``: what they are checksums of, the file (``standard``) or the Nix archive of
    what is in it (``nar``).
    """

    checksums: _Checksums = {}
    checksum_layout: _Layout = "standard"

    def __post_init__(self) -> None:
        parse_checksums(self.checksums)


class ContentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Loading of one file. ``checksums`` and ``checksum_layout`` as for ``tarball-directory``."""

    checksums: _Checksums = {}
    checksum_layout: _Layout = "standard"

    def __post_init__(self) -> None:
        parse_checksums(self.checksums)


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One archive of a package: ``version``, the ``url`` it is at, its ``length`` in bytes where that is known, ``time``
    (ISO 8601, UTC where it names no offset) when it was released, and perhaps its ``filename`` and ``checksums``.

    Without ``time``, what the server says of both counts (``Last-Modified``, ``Content-Length``)."""

    time: str | None = None
    url: str
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    length: Annotated[int, msgspec.Meta(ge=0)] | None = None
    filename: str | None = None
    checksums: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.time is not None:
            parse_time(self.time)
        parse_checksums(self.checksums)


class TarConfig(Bounds, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Loading of the archives of a package, a release for each version.

    ``artifacts``: the archives, each with ``url``, ``version``, and perhaps ``time``, ``length``, ``filename`` and
    ``checksums`` (as for ``tarball-directory``).
    """

    artifacts: Annotated[
        list[Artifact],
        msgspec.Meta(
            description="The archives, each with url, version, and perhaps time, length, filename, checksums."
        ),
    ] = []

    def __post_init__(self) -> None:
        seen: dict[str, int] = {}
        for number, artifact in enumerate(self.artifacts):
            if artifact.version in seen:
                raise ValueError(
                    f"artifacts[{number}].version: {artifact.version!r} is the version of "
                    f"artifacts[{seen[artifact.version]}] already"
                )
            seen[artifact.version] = number


@hookimpl
def swhkit_loaders() -> list[Provider]:
    """The loaders of archives and files."""
    return [
        Provider(
            "tarball-directory", "archive files (tar, zip and others)", "swhkit_tarball.loader:make_tarball", TarballConfig
        ),
        Provider("tar", "packages: an archive for each version", "swhkit_tarball.releases:make", TarConfig),
        Provider("content", "single files", "swhkit_tarball.loader:make_content", ContentConfig),
        Provider(
            "directory", "local folders, and archive files", "swhkit_tarball.loader:make_directory", TarballConfig
        ),
    ]  # fmt: skip


@hookimpl(trylast=True)
def swhkit_visit_type(url: str) -> str | None:
    """``tarball-directory`` for URLs that end as archives do, ``directory`` for a local folder that is no repository."""
    form = url_form(url)
    if form is None or form.scheme not in ("file", "http", "https", "ftp"):
        return None
    if _ENDING.fullmatch(form.path if form.local else unquote(form.path)):
        return "tarball-directory"
    return "directory" if form.local is not None and _is_plain_folder(form.local) else None


def _is_plain_folder(folder: Path) -> bool:
    """Whether there is a folder, and nothing in it looks like a repository's."""
    try:
        return folder.is_dir() and not any((folder / mark).exists() for mark in _MARKS)
    except OSError:
        return False
