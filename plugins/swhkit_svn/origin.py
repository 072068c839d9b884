"""What kind of origin a URL names, and how its history is read: a local repository, one behind a server, a dump file."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn, cast
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from swhkit.plugin import ChildFailed, NotFound, Target, Unavailable, VisitContext, download, without_secrets
from swhkit_svn import DUMP_MAGIC, DUMP_NAMES, GZIP_MAGIC, SvnConfig, repository_at
from swhkit_svn.access import Access, Info, Reach, Records, dump_local, not_found, passes, youngest
from swhkit_svn.dump import PIECE, Damaged, Dump, NodeRecord, RevisionRecord
from swhkit_svn.externals import quote_path
from swhkit_svn.gather import Place

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
    reach: Reach
    place: Place | None = None
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

    def mounted(self) -> Place | None:
        """Where relative externals are relative to; a dump file is loaded into a repository of ours for that."""
        if self.place is not None or self.file is None:
            return self.place
        runner, root = self.context.runner, self.context.scratch / "mounted"
        if not root.exists():
            runner.run(["svnadmin", "create", "--", str(root)])
            load = [
                "svnadmin",
                "load",
                "-q",
                "--bypass-prop-validation",
                "--no-flush-to-disk",
                "--",
                str(root),
            ]
            with _opened(self.file) as file:  # a dump that is damaged is loaded as far as it goes
                runner.run(load, input=iter(lambda: file.read(PIECE), b""), check=False)
        url = f"file://{quote_path(bytes(root))}"
        return Place(url, self.reach.access(Target(url=url, scheme="file", path=root), own_keys=False))

    def never_was(self, shown: str) -> NoReturn:
        """Raise what it means that no revision came."""
        raise NotFound(f"{shown}: no revision of the repository has this path as a folder")


def find(context: VisitContext, config: SvnConfig, within: ExitStack) -> Origin:
    """The origin of a visit; what it needs open is entered into ``within``.

    Raises ``NotFound``, ``Unavailable``, ``InvalidUrl``, ``LimitExceeded``.
    """
    target = context.network.check(context.url)
    reach = Reach(context, target, config.ssh_config, within)
    if target.path is not None:
        return _local(context, reach, target, Path(target.path))
    if urlsplit(target.url).path.endswith(DUMP_NAMES) and target.scheme in ("http", "https", "ftp"):
        return _downloaded(context, reach, target)
    access = reach.access(target, own_keys=context.network.from_cli)
    info, below = _ask(context, reach, access, config.retries)
    url = f"{info.root}/{quote_path(below)}".rstrip("/")  # where redirections led, if there were any
    if access.is_secret and urlsplit(url).netloc != urlsplit(access.url).netloc:
        raise Unavailable(
            f"{without_secrets(context.url)}: redirected to {url}, which is not told the password"
        )
    if info.kind == "file":
        raise Unavailable(
            f"{without_secrets(context.url)}: this is a file in a repository; give a folder's URL"
        )
    return Origin(
        context=context,
        reach=reach,
        place=Place(info.root, access.at(url)),
        below=below,
        youngest=info.revision,
        changed=info.changed if info.url == url else None,
    )


def _downloaded(context: VisitContext, reach: Reach, target: Target) -> Origin:
    """A dump file that a server has."""
    context.progress("downloading")
    file = context.scratch / "origin.svndump"
    download(
        context.network,
        target,
        file,
        limit=context.limits.max_pack_size,
        deadline=context.runner.deadline,
        tell=lambda size: context.progress("downloading", size),
    )
    if not _is_dump(file):
        raise Unavailable(f"{without_secrets(context.url)}: what the server gives is no Subversion dump")
    return Origin(context=context, reach=reach, file=file)


def _local(context: VisitContext, reach: Reach, target: Target, path: Path) -> Origin:
    if path.is_file():
        if not _is_dump(path):
            raise NotFound(f"{context.url}: this file is no Subversion dump")
        return Origin(context=context, reach=reach, file=path)
    root = repository_at(path)
    if root is None:
        raise NotFound(f"{context.url}: there is no Subversion repository")
    below = bytes(path.relative_to(root)) if path != root else b""
    url = f"file://{quote_path(bytes(root))}"
    access = reach.access(msgspec.structs.replace(target, url=url), own_keys=False)
    try:
        last = youngest(root, context.runner)
    except ChildFailed as error:
        not_found(context.url, error, context.runner.deadline)
    if not below:
        place = Place(url, access)
        return Origin(context=context, reach=reach, place=place, youngest=last, changed=last, local=root)
    place = Place(url, access.at(f"{url}/{quote_path(below)}"))
    return Origin(context=context, reach=reach, place=place, below=below, youngest=last)


def _ask(context: VisitContext, reach: Reach, access: Access, retries: int) -> tuple[Info, bytes]:
    """What a server says of the URL, or of the nearest folder above it that is there now; and the path in the
    repository. A server that does not answer is asked again."""
    url, gone = access.url, ""
    for attempt in range(_DEPTH + retries):
        try:
            info = access.info(url)
        except ChildFailed as error:
            if (cause := reach.cause()) is not None:
                raise cause from error
            if any(code in error.stderr for code in _NO_PATH) and urlsplit(url).path.strip("/"):
                url, _, name = url.rpartition("/")
                gone = f"/{name}{gone}"
            elif passes(error) and retries > 0:
                time.sleep(2.0 ** (attempt % 6))
                retries -= 1
            else:
                not_found(context.url, error, context.runner.deadline)
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
