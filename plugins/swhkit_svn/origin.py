"""What kind of origin a URL names, and how its history is read: a local repository, one behind a server, a dump file."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn, cast
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from swhkit.plugin import ChildFailed, NotFound, Target, Unavailable, VisitContext, without_secrets
from swhkit_svn import DUMP_MAGIC, GZIP_MAGIC, SvnConfig, repository_at
from swhkit_svn.access import Access, Info, Records, dump_local, not_found, passes, youngest
from swhkit_svn.dump import Damaged, Dump, NodeRecord, RevisionRecord
from swhkit_svn.externals import quote_path
from swhkit_svn.gather import Place
from swhkit_svn.ssh import Keys

#: A URL leads at most this deep into a repository where its last part is not there any more.
_DEPTH = 16
#: What Subversion says where a path is not in a repository that is there.
_NO_PATH = ("E160013", "E200009")


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """An origin that was found.

    ``below``: the path in the repository that is archived (b"": all of it). ``youngest``: the repository's last
    revision, ``changed``: the last that changed the path (None: not known). ``place``: where relative externals are
    relative to. One of ``local`` (a repository's folder), ``file`` (a dump) or ``place`` alone says what it is.
    """

    context: VisitContext
    place: Place | None
    below: bytes = b""
    youngest: int = 0
    changed: int | None = None
    local: Path | None = None
    file: Path | None = None

    @contextmanager
    def dump(self, first: int, *, only: bool = False) -> Iterator[Records]:
        """The history from revision ``first`` on, which comes as a whole tree; ``only``: what it changed, no more."""
        revisions = f"{first}:{first if only else 'HEAD'}"
        if self.file is not None:
            with _dump_of(self.file) as records:
                yield records
        elif self.local is not None:
            with dump_local(self.local, self.context.runner, revisions, incremental=only) as records:
                yield records
        else:
            assert self.place is not None
            access = self.place.access
            with access.dump(access.url, revisions, incremental=only) as records:
                yield records

    def never_was(self, shown: str) -> NoReturn:
        """Raise what it means that no revision came."""
        raise NotFound(f"{shown}: no revision of the repository has this path as a folder")


def find(context: VisitContext, config: SvnConfig) -> Origin:
    """The origin of a visit. Raises ``NotFound``, ``Unavailable``, ``InvalidUrl``."""
    target = context.network.check(context.url)
    settings = context.scratch / "settings"
    settings.mkdir(exist_ok=True)
    keys = Keys(config.ssh_config, own=context.network.from_cli)
    if target.path is not None:
        return _local(context, target, Path(target.path), settings, keys)
    access = Access(context.runner, target, settings, keys)
    info, below = _ask(context, access, config.retries)
    if info.kind == "file":
        raise Unavailable(
            f"{without_secrets(context.url)}: this is a file in a repository; give a folder's URL"
        )
    return Origin(
        context=context,
        place=Place(info.root, access),
        below=below,
        youngest=info.revision,
        changed=info.changed if info.url == access.url else None,
    )


def _local(context: VisitContext, target: Target, path: Path, settings: Path, keys: Keys) -> Origin:
    if path.is_file():
        if not _is_dump(path):
            raise NotFound(f"{context.url}: this file is no Subversion dump")
        return Origin(context=context, place=None, file=path)
    root = repository_at(path)
    if root is None:
        raise NotFound(f"{context.url}: there is no Subversion repository")
    below = bytes(path.relative_to(root)) if path != root else b""
    url = f"file://{quote_path(bytes(root))}"
    access = Access(context.runner, msgspec.structs.replace(target, url=url), settings, keys)
    try:
        last = youngest(root, context.runner)
    except ChildFailed as error:
        not_found(context.url, error)
    if below:
        return Origin(
            context=context,
            place=Place(url, access.at(f"{url}/{quote_path(below)}")),
            below=below,
            youngest=last,
        )
    return Origin(context=context, place=Place(url, access), youngest=last, changed=last, local=root)


def _ask(context: VisitContext, access: Access, retries: int) -> tuple[Info, bytes]:
    """What a server says of the URL, or of the nearest folder above it that is there now; and the path in the
    repository. A server that does not answer is asked again."""
    url, gone = access.url, ""
    for attempt in range(_DEPTH + retries):
        try:
            info = access.info(url)
        except ChildFailed as error:
            if any(code in error.stderr for code in _NO_PATH) and urlsplit(url).path.strip("/"):
                url, _, name = url.rpartition("/")
                gone = f"/{name}{gone}"
            elif passes(error) and retries > 0:
                time.sleep(2.0 ** (attempt % 6))
                retries -= 1
            else:
                not_found(context.url, error)
            continue
        path = unquote_to_bytes(info.url.removeprefix(info.root) + gone)
        return info, path.strip(b"/")
    raise NotFound(f"{without_secrets(context.url)}: there is no such path in the repository")


def _is_dump(path: Path) -> bool:
    try:
        with _opened(path) as file:
            return file.read(len(DUMP_MAGIC)) == DUMP_MAGIC
    except (OSError, EOFError):
        return False


@contextmanager
def _dump_of(path: Path) -> Iterator[Records]:
    with _opened(path) as file:
        dump = Dump(file)

        def records() -> Iterator[RevisionRecord | NodeRecord]:
            try:
                yield from dump.records()
            except (OSError, EOFError) as error:  # gzip raises both
                raise Damaged(f"the compressed dump is damaged: {error}") from error

        yield Records(dump, records())


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")
