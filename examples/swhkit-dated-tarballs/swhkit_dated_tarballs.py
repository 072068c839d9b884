"""Archives projects that were published as dated archives only: ``name-2024-01-31.tar.gz`` and the like, in a folder or
linked by a web page. Each file becomes a revision on top of the one before it, and a branch; ``HEAD`` is the last."""

import fnmatch
import hashlib
import html
import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from datetime import datetime
from urllib.parse import unquote_to_bytes, urljoin

import msgspec

from swhkit.plugin import (
    ArchiveTree, Branch, BranchType, Bytes, Chunks, Content, ExtId, Gap, InvalidInput, Item, Kind, Load, MemberType,
    NotFound, Person, Provider, Revision, Snapshot, Timestamp, Unavailable, VisitContext, download, hookimpl,
    object_id, open_archive,
)  # fmt: skip

DATED = re.compile(rb"[^/]*?(\d{4})([-_.]?)(\d\d)\2(\d\d)(?!\d)[^/]*\.(tar(\.\w+)?|t[gbx]z2?|zip)")
LINK = re.compile(r"""href\s*=\s*["']([^"'#?]{1,500})["'#?]""", re.IGNORECASE)
EXTID, PAGE_LIMIT, NOBODY = "dated-tarball-sha256", 4 << 20, Person(b"")


class DatedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Loading of dated archives. ``names``: only files whose names fit this pattern are taken."""

    names: str = "*"


@hookimpl
def swhkit_loaders() -> list[Provider]:
    return [Provider("dated-tarballs", "folders of dated archives", f"{__name__}:DatedLoader", DatedConfig)]


class DatedLoader(msgspec.Struct):
    config: DatedConfig

    def load(self, context: VisitContext) -> Load:
        files = sorted(set(listed(context, self.config.names)))
        branches, parents = dict[bytes, Branch | None](), tuple[bytes, ...]()
        for number, (noon, name, url) in enumerate(files):
            context.progress("loading archives", number, len(files))
            try:
                root = yield from directory_of(context, url)
            except (InvalidInput, NotFound) as error:  # damaged, or a dead link: the others are not
                yield Gap(str(error), branch=name)
            else:
                date = Timestamp(int(noon.timestamp()), 0, b"+0000")
                revision = Revision(name, NOBODY, NOBODY, date, date, root, parents, type="tar", synthetic=True)
                yield revision
                parents = (object_id(revision).digest,)
                branches |= {name: Branch(BranchType.REVISION, *parents), b"HEAD": Branch(BranchType.ALIAS, name)}
        if not branches:
            raise Unavailable(f"{context.url} has no sound archive with a date in its name, as a-2024-01-31.tar.gz")
        yield Snapshot(branches)
        return None


def listed(context: VisitContext, names: str) -> Iterator[tuple[datetime, bytes, str]]:
    for url in urls(context):
        name = unquote_to_bytes(url.rpartition("/")[2])
        if (match := DATED.fullmatch(name)) and fnmatch.fnmatchcase(name.decode("utf-8", "replace"), names):
            with suppress(ValueError):  # there is no such date: the file is left out
                yield datetime.strptime(b"".join(match.group(1, 3, 4)).decode() + "12Z", "%Y%m%d%H%z"), name, url


def urls(context: VisitContext) -> Iterator[str]:
    target = context.network.check(context.url)
    if target.path is not None:
        return (file.as_uri() for file in target.path.iterdir() if file.is_file())
    page = download(context.network, target, context.scratch / "page", limit=PAGE_LIMIT)
    links = (urljoin(page.url, html.unescape(link)) for link in LINK.findall(page.path.read_text("utf-8", "replace")))
    return (url for url in links if url.startswith(urljoin(page.url, ".")))  # never elsewhere, nor to this machine


def directory_of(context: VisitContext, url: str) -> Generator[Item, None, bytes]:
    path, file, limit = context.network.check(url).path, context.scratch / "archive", context.limits.max_pack_size
    if path is None:
        path = download(context.network, url, file, limit=limit, deadline=context.runner.deadline).path
    with path.open("rb") as opened:
        sum = hashlib.file_digest(opened, "sha256").digest()
    for known in context.extids(EXTID, [sum], 1):
        if not context.missing([known.target]):
            return known.digest
    with open_archive(path, runner=context.runner, name=url) as archive:  # first: is it sound, what is its tree?
        (tree := ArchiveTree(archive.meter)).read(archive.members)
    with open_archive(path, runner=context.runner, name=url) as archive:  # then the bytes, never all in memory
        for member in archive.members:
            if member.type is MemberType.FILE:
                yield Content(Chunks(member.length, member.chunks))
            elif member.type in (MemberType.SYMLINK, MemberType.SPECIAL):
                yield Content(Bytes(member.target))
    for placed in tree.objects():
        if placed.directory is not None:
            yield placed.directory
    yield ExtId(EXTID, 1, sum, Kind.DIRECTORY, placed.id.digest)
    return placed.id.digest
