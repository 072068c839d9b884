"""One visit of an archive, a single file, or a local folder: ``HEAD`` is what it holds."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from swhkit.plugin import (
    Branch,
    BranchType,
    Content,
    File,
    Item,
    Kind,
    Load,
    Snapshot,
    Unavailable,
    VisitContext,
    hash_chunks,
    read_directory,
)
from swhkit_tarball import ContentConfig, TarballConfig
from swhkit_tarball.checksums import parse_checksums
from swhkit_tarball.facts import about_original, checksum_extids, known_target
from swhkit_tarball.nar import verify_file, verify_tree
from swhkit_tarball.source import Source, opened
from swhkit_tarball.unpacked import limits_of, unpacked


def make_tarball(config: TarballConfig) -> ArchiveLoader:
    """The factory of ``tarball-directory``."""
    return ArchiveLoader(config)


def make_directory(config: TarballConfig) -> DirectoryLoader:
    """The factory of ``directory``."""
    return DirectoryLoader(config)


def make_content(config: ContentConfig) -> ContentLoader:
    """The factory of ``content``."""
    return ContentLoader(config)


def head(kind: Kind, digest: bytes) -> Snapshot:
    """The snapshot of an origin that is one object."""
    return Snapshot({b"HEAD": Branch(BranchType(kind.word), digest)})


class _FileLoader:
    """Loads one file: ``HEAD`` is the object that it is, or that its checksums are known to be."""

    kind: ClassVar[Kind]

    def __init__(self, config: TarballConfig | ContentConfig) -> None:
        self._wanted, self._layout = parse_checksums(config.checksums), config.checksum_layout

    def load(self, context: VisitContext) -> Load:
        """Objects, what is known of the file, the snapshot. See ``Loader.load``."""
        context.network.check(context.url)
        digest = known_target(context, self.kind, self._wanted, self._layout)
        if digest is None:
            standard = self._wanted if self._layout == "standard" else {}
            with opened(context, context.url, standard) as source:
                source.verify(standard)
                digest = yield from self._loaded(context, source)
        yield head(self.kind, digest)
        return None

    def _loaded(self, context: VisitContext, source: Source) -> Generator[Item, None, bytes]:
        """Yield what is new of the file; returns the digest of the object."""
        raise NotImplementedError


class ArchiveLoader(_FileLoader):
    """Loads what an archive file holds."""

    kind = Kind.DIRECTORY

    def __init__(self, config: TarballConfig) -> None:
        super().__init__(config)
        self._limits = limits_of(config)

    def _loaded(self, context: VisitContext, source: Source) -> Generator[Item, None, bytes]:
        """Yield what is new of the file; returns the digest of its root directory."""
        root = known_target(context, Kind.DIRECTORY, source.sums)
        is_new = root is None
        if root is None:
            root = yield from unpacked(context, source, self._limits)
        if self._layout == "nar":
            verify_tree(context, root, self._wanted, source.url)
            yield from checksum_extids(Kind.DIRECTORY, root, self._wanted, "nar")
        if is_new:
            yield from checksum_extids(Kind.DIRECTORY, root, source.sums)
            yield from about_original(context, source, root)
        return root


class DirectoryLoader(ArchiveLoader):
    """Loads a local folder as it lies, or what an archive file holds."""

    def load(self, context: VisitContext) -> Load:
        """As ``ArchiveLoader`` does; of a folder: contents, directories, the snapshot."""
        path = context.network.check(context.url).path
        if path is None or not path.is_dir():
            return (yield from super().load(context))
        if self._wanted and self._layout == "standard":
            raise Unavailable(
                f"{context.url} is a folder: checksums of it are those of its Nix archive (checksum_layout nar)"
            )
        root = b""
        for number, item in enumerate(read_directory(path)):
            if isinstance(item, Content):
                yield item
            elif item.directory is not None:
                yield item.directory
                root = item.id.digest
            context.progress("reading the folder", number)
        if self._layout == "nar":
            verify_tree(context, root, self._wanted, context.url)
        yield head(Kind.DIRECTORY, root)
        return None


class ContentLoader(_FileLoader):
    """Loads one file, byte for byte."""

    kind = Kind.CONTENT

    def _loaded(self, context: VisitContext, source: Source) -> Generator[Item, None, bytes]:
        if self._layout == "nar":
            verify_file(source, self._wanted)
        file = File(source.path, source.length)
        digest = known_target(context, Kind.CONTENT, source.sums)
        if digest is None:
            hashes = hash_chunks(source.length, file.chunks())
            source.still()
            digest = hashes.sha1_git
            yield Content(file)
            source.still()
            yield from checksum_extids(Kind.CONTENT, digest, source.sums)
        if self._layout == "nar":
            yield from checksum_extids(Kind.CONTENT, digest, self._wanted, "nar")
        return digest
