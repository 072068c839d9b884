"""Fetches objects by id into a repository of our own, and gets around what a server cannot send.

Nothing is fetched by name: no ref is written, so odd names, clashes and moving branches do no harm. What we have is
told to the server as refs of our repository, and only tips whose whole graph is held are had (held is not closed).
One object that a server cannot read kills its whole answer; so what fails is asked for in halves, and what came of
one half is had for the next, down to the branches that cannot be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from swhkit.plugin import ChildFailed, ChildTimeout, Git, LimitExceeded, Pack, Unavailable, VisitContext
from swhkit_git.classify import Failure, failure_of, named_object, visit_error, words_of
from swhkit_git.remote import Address
from swhkit_git.watch import run_watched

#: Taken from what was tried: nothing is written but packs and ``shallow``, and cut histories are taken as they are.
_ARGUMENTS = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
    "--update-shallow",
    "--stdin",
    "--",
)


#: So many objects that a server names as missing are left out one after the other; then halves are quicker.
_ONE_BY_ONE = 4


class Moved(Exception):
    """The server does not have an object it has just named: its refs may have moved meanwhile."""


class Fetched(msgspec.Struct, frozen=True):
    """What came: the repository it is in, the digests that are there, and those that are not, with the reason."""

    git: Git
    came: frozenset[bytes]
    lost: dict[bytes, str]


class Fetcher:
    """One visit's fetches from one address. ``known``: digests of closed tips that the server may be told of.

    ``alone``: the archive is not looked at, so that all of the origin is fetched.
    """

    def __init__(
        self,
        context: VisitContext,
        address: Address,
        known: Iterable[bytes],
        tries: int,
        *,
        alone: bool = False,
    ) -> None:
        self._context, self._address, self._tries = context, address, tries
        self._known = set(known)
        self._came: set[bytes] = set()
        self._lost: dict[bytes, str] = {}
        self._folder = context.scratch / "fetch.git"
        self._alone = alone or not context.held_objects
        self._git = self._fresh([] if self._alone or not context.held_objects else [context.held_objects])

    def fetch(self, wanted: list[bytes], *, may_have_moved: bool) -> Fetched:
        """Fetch the objects ``wanted`` and all they need, as far as the server can send them.

        Raises ``Moved`` (only if it ``may_have_moved``) when the first answer is that an object is not there;
        ``NotFound`` or ``Unavailable`` when the server is away or turns us down, ``LimitExceeded``.
        """
        parts = [list(wanted)] if wanted else []
        while parts:
            part = parts.pop()
            error = self._try(part)
            if error is None:
                self._came.update(part)
                self._tell(part if parts else [])
                continue
            failure, named = failure_of(error), named_object(error)
            if failure is Failure.NOT_OURS and may_have_moved and len(part) == len(wanted):
                raise Moved
            may_have_moved = False
            if failure is Failure.NOT_OURS and named in part:
                self._lost[named] = words_of(error)
                part.remove(named)
                parts += _halves(part) if len(self._lost) > _ONE_BY_ONE else [part] if part else []
            elif not self._alone and (failure is Failure.LACKING or self._blames_held(error)):
                self._start_again()
                parts = [list(wanted)]
            elif len(part) == 1:
                self._lost[part[0]] = words_of(error)
            else:
                parts += _halves(part)
        return Fetched(self._git, frozenset(self._came), self._lost)

    def _try(self, part: list[bytes]) -> str | None:
        """One fetch; git's words if it failed in a way that another fetch may get around."""
        if self._tries <= 0:
            return "not tried: the server has failed too often in this visit"
        self._tries -= 1
        ids = "".join(f"{digest.hex()}\n" for digest in part).encode("ascii")
        try:
            run_watched(
                self._git,
                [*_ARGUMENTS, self._address.text],
                lambda _: self._look(),
                env=self._address.environment,
                input=ids,
            )
        except ChildTimeout as error:
            limit = self._context.limits.visit_time
            raise LimitExceeded(
                f"{self._address.url}: not fetched within the {limit:.0f} s a visit may take (limits.visit_time)"
            ) from error
        except ChildFailed as error:
            if error.code < 0:
                raise Unavailable(f"{self._address.url}: git was killed by signal {-error.code}") from error
            if failure_of(error.stderr) in (Failure.AWAY, Failure.GONE, Failure.REDIRECT, Failure.REFUSED):
                raise visit_error(self._address.url, error.stderr) from error
            self._require_packs()
            self._sweep()
            return error.stderr
        self._look()
        self._require_packs()
        return None

    def _require_packs(self) -> None:
        """Raise ``Unavailable`` if objects have come one by one, as git takes them over the old dumb protocol only.

        The server spoke git when it listed its branches. What comes this way was checked by nobody for being whole,
        and a later fetch takes it for something that we have.
        """
        if any(len(path.name) == 2 for path in (self._folder / "objects").iterdir()):
            raise Unavailable(
                f"{self._address.url}: the server listed its branches as a git server does and no longer speaks as one"
                " (only the old dumb protocol): visit it again later"
            )

    def _look(self) -> None:
        """Report how many bytes have come. Raises ``LimitExceeded`` when they are too many."""
        size, limit = sum(_sizes(self._packs)), self._context.limits.max_pack_size
        self._context.progress("fetching", size)
        if size > limit:
            raise LimitExceeded(
                f"{self._address.url}: the pack is larger than {limit} bytes (limits.max_pack_size)"
            )

    @property
    def _packs(self) -> Path:
        return self._folder / "objects" / "pack"

    def _sweep(self) -> None:
        """Drop what a failed fetch has left half-written."""
        for path in self._packs.glob("tmp_*"):
            path.unlink(missing_ok=True)

    def _blames_held(self, error: str) -> bool:
        """Whether git could not read an object of the archive: it compares what comes with what is there."""
        held = re.escape(str(self._context.held_objects))
        return (
            re.search(rf"^fatal: packed object [0-9a-f]{{40}} \(stored in {held}/", error, re.MULTILINE)
            is not None
        )

    def _start_again(self) -> None:
        """From here on say that we have nothing, and see nothing of the archive.

        Git checks that what came is whole together with what is had; where the archive left something out on
        purpose (contents that are too large), it is not, though nothing is wrong. Where something of the archive is
        damaged, a good copy of it comes.
        """
        self._context.log.info(
            "%s: what came needs more than was said to be had, or can be read: fetching all",
            self._address.url,
        )
        self._folder = self._context.scratch / "fetch-all.git"
        self._known, self._alone = set(), True
        self._came, self._lost = set(), {}
        self._git = self._fresh([])

    def _fresh(self, alternates: list[Path]) -> Git:
        protocols = self._context.network.git_protocols()
        git = Git.init(self._context.runner, self._folder, alternates=alternates, protocols=protocols)
        self._tell([])
        return git

    def _tell(self, more: Iterable[bytes]) -> None:
        """Write what the server may be told of: refs that no branch can clash with."""
        self._known.update(more)
        names = sorted(digest.hex() for digest in self._known)
        lines = ["# pack-refs with: sorted \n", *(f"{name} refs/known/{name}\n" for name in names)]
        (self._folder / "packed-refs").write_text("".join(lines), "ascii")


def _halves(part: list[bytes]) -> list[list[bytes]]:
    """What is left of a part in halves, none empty, in the order of a stack."""
    middle = len(part) // 2
    return [half for half in (part[middle:], part[:middle]) if half]


def packs_in(git: Git) -> Iterator[Pack]:
    """The complete packs of a repository of ours: those with an index."""
    assert git.git_dir is not None
    for path in sorted((git.git_dir / "objects" / "pack").glob("pack-*.pack")):
        idx = path.with_suffix(".idx")
        if idx.exists():
            yield Pack(path, idx)


def _sizes(folder: Path) -> Iterator[int]:
    """Sizes in bytes of the packs, whole or in the making, that are there; they may vanish while we look."""
    for path in folder.iterdir():
        if path.suffix == ".pack" or path.name.startswith("tmp_pack_"):
            with suppress(FileNotFoundError):
                yield path.stat().st_size
