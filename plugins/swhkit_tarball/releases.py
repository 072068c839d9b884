"""One visit of a package: each of its archives is a release of that version, ``HEAD`` the highest of them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping

from swhkit.plugin import (
    Branch,
    BranchType,
    ChildFailed,
    InvalidInput,
    Item,
    Kind,
    LimitExceeded,
    Load,
    LoadStatus,
    MissingProgram,
    NotFound,
    ObjectId,
    Outcome,
    Person,
    Release,
    Snapshot,
    Unavailable,
    VisitContext,
    VisitStatus,
    object_id,
    parse_release,
)
from swhkit_tarball import Artifact, TarConfig
from swhkit_tarball.checksums import parse_checksums
from swhkit_tarball.facts import about_original, checksum_extids, known_release, known_target, release_extid
from swhkit_tarball.served import with_facts
from swhkit_tarball.source import opened, public
from swhkit_tarball.unpacked import limits_of, unpacked
from swhkit_tarball.versions import parse_time, version_key

#: What may be wrong with one archive and leave the others as they are.
_ITS_OWN = (InvalidInput, NotFound, Unavailable, LimitExceeded, ChildFailed, MissingProgram)
#: How many failed archives a reason names.
_NAMED = 3


def make(config: TarConfig) -> PackageLoader:
    """The factory of ``tar``."""
    return PackageLoader(config)


class PackageLoader:
    """Loads the archives of a package."""

    def __init__(self, config: TarConfig) -> None:
        self._artifacts, self._limits = config.artifacts, limits_of(config)

    def load(self, context: VisitContext) -> Load:
        """Objects and a release for each archive that is new, the snapshot. See ``Loader.load``.

        An archive that cannot be loaded is left out, and the visit is ``partial``.
        """
        if not self._artifacts:
            raise InvalidInput(
                f"{public(context.url)}: a visit of type tar needs the list of the package's archives:"
                " give it with --artifacts FILE.json"
            )
        releases: dict[str, bytes] = {}
        failed: list[str] = []
        for number, artifact in enumerate(self._artifacts):
            context.progress("loading archives", number, len(self._artifacts))
            try:
                releases[artifact.version] = yield from self._release(context, artifact)
            except _ITS_OWN as error:
                context.log.warning("version %s is left out: %s", artifact.version, error)
                failed.append(f"{artifact.version} ({error})")
        yield _snapshot(releases)
        return _outcome(failed, releases, len(self._artifacts))

    def _release(self, context: VisitContext, artifact: Artifact) -> Generator[Item, None, bytes]:
        """Yield what is new of an archive; returns the digest of its release."""
        if artifact.time is None:
            artifact = with_facts(context, artifact)
        manifest = _manifest(artifact)
        wanted = parse_checksums(artifact.checksums)
        known = known_release(context, manifest)
        if known is not None and (not wanted or _has_checksums(context, known, wanted)):
            return known
        with opened(context, artifact.url, wanted) as source:
            source.verify(wanted)
            directory = known_target(context, Kind.DIRECTORY, source.sums)
            if directory is None:
                directory = yield from unpacked(context, source, self._limits)
                yield from checksum_extids(Kind.DIRECTORY, directory, source.sums)
            release = _synthetic(artifact, directory)
            digest = object_id(release).digest
            yield release
            yield release_extid(manifest, digest)
            yield from about_original(context, source, directory, digest, artifact.filename)
            return digest


def _has_checksums(context: VisitContext, release: bytes, wanted: Mapping[str, bytes]) -> bool:
    """Whether an archive with these checksums is known to be what the release holds."""
    body = context.read([ObjectId(Kind.RELEASE, release)]).get(ObjectId(Kind.RELEASE, release))
    return body is not None and parse_release(body).target == known_target(context, Kind.DIRECTORY, wanted)


def _manifest(artifact: Artifact) -> bytes:
    """What an archive is known by: all that the list tells of it that would make another release."""
    length = "None" if artifact.length is None else str(artifact.length)
    text = f"{artifact.time} {length} {artifact.version} {artifact.url}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _synthetic(artifact: Artifact, directory: bytes) -> Release:
    message = f"Synthetic release for archive at {public(artifact.url)}\n"
    return Release(
        name=artifact.version.encode("utf-8", "surrogateescape"),
        message=message.encode("utf-8", "surrogateescape"),
        target=directory,
        target_type=Kind.DIRECTORY,
        author=Person(b""),
        date=None if artifact.time is None else parse_time(artifact.time),
        synthetic=True,
    )


def _snapshot(releases: dict[str, bytes]) -> Snapshot:
    branches: dict[bytes, Branch | None] = {
        _branch(version): Branch(BranchType.RELEASE, digest) for version, digest in releases.items()
    }
    if releases:
        highest = max(releases, key=version_key)
        branches[b"HEAD"] = Branch(BranchType.ALIAS, _branch(highest))
    return Snapshot(branches)


def _branch(version: str) -> bytes:
    return b"releases/" + version.encode("utf-8", "surrogateescape")


def _outcome(failed: list[str], releases: dict[str, bytes], of: int) -> Outcome | None:
    if not failed:
        return None
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    reason = f"{len(failed)} of {of} archives could not be loaded: {'; '.join(failed[:_NAMED])}{more}"
    return Outcome(VisitStatus.PARTIAL, None if releases else LoadStatus.UNEVENTFUL, reason)
