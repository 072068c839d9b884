"""A repository of this machine, seen through a folder of ours.

Mercurial writes caches beside a repository that it only reads. So it is given a folder with a ``.hg`` of ours in which
all that counts are links: nothing is written at the origin, and its configuration is not there to be read. (Only for
repositories of before Mercurial 1.0, whose history has no folder of its own, this cannot be: through links into
``.hg`` itself Mercurial does not follow.)
"""

from __future__ import annotations

from pathlib import Path

from swhkit_hg.errors import Broken

#: What of ``.hg`` is not part of a repository's history: configuration, caches, locks, the working folder's state.
_LEFT_OUT = frozenset(
    {
        "branch",
        "cache",
        "dirstate",
        "hgrc",
        "hgrc-not-shared",
        "lock",
        "shared",
        "sharedpath",
        "wcache",
        "wlock",
    }
)
#: In which Mercurial reads nothing but what it is told.
ENVIRONMENT = {"HGRCPATH": "", "HGRCSKIPREPO": "1", "HGPLAIN": "1", "HGENCODING": "utf-8"}


def server(repository: Path, folder: Path) -> list[str | Path]:
    """The command that serves the local ``repository``, through links in ``folder`` (which is made).

    Raises ``Broken`` where there is none.
    """
    hg = repository / ".hg"
    if not hg.is_dir():
        raise Broken("there is no Mercurial repository")
    source, bookmarks = _shared(hg)
    if not (source / "store").is_dir() and (source / "data").is_dir():
        return ["hg", "-R", repository, "serve", "--stdio"]
    view = folder / ".hg"
    view.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name not in _LEFT_OUT:
            (view / entry.name).symlink_to(entry.absolute())
    if bookmarks is not None:
        (view / "bookmarks").unlink(missing_ok=True)
        (view / "bookmarks").symlink_to(bookmarks.absolute())
    return ["hg", "-R", folder, "serve", "--stdio"]


def _shared(hg: Path) -> tuple[Path, Path | None]:
    """Where the history is that ``hg share`` has put elsewhere, and the bookmarks if they are not shared."""
    pointer = hg / "sharedpath"
    if not pointer.is_file():
        return hg, None
    named = _beginning(pointer).rstrip(b"\n").decode("utf-8", "surrogateescape")
    source = hg / named  # which is ``named`` where that is absolute
    if not source.is_dir():
        raise Broken("it shares the history of a repository that is not there")
    shares = hg / "shared"
    whole = shares.is_file() and b"bookmarks" in _beginning(shares).split()
    return source, None if whole else hg / "bookmarks"


def _beginning(path: Path) -> bytes:
    """As much of a file as a short one has, however large it is."""
    with path.open("rb") as file:
        return file.read(4096)
