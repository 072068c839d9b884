"""All that an author of a plugin imports: descriptions to return from hooks, and what a loader meets.

A plugin is a module (or a loose ``.py`` file in ``plugins_dir``) with functions marked ``@hookimpl`` that return lists
of descriptions; the core reads the configuration and puts the parts together. Plugins import nothing else of swhkit;
backends may also import the modules that ``docs/writing-a-backend.md`` names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
import pluggy

from swhkit.egress import Egress, egress
from swhkit.errors import (
    ChildFailed,
    ChildTimeout,
    InvalidInput,
    InvalidUrl,
    LimitExceeded,
    MissingProgram,
    NotFound,
    NotHeld,
    SwhkitError,
    TooLarge,
    Unavailable,
)
from swhkit.forge import (
    Fetched,
    Forge,
    ForgeClient,
    ForgeConfig,
    ForgeContext,
    Moment,
    Paging,
    Repository,
    by_body,
    by_header,
    by_link,
    by_number,
    in_parts,
    with_parameters,
)
from swhkit.git import Git
from swhkit.hashes import Hashes, hash_chunks, hash_content
from swhkit.http import REDIRECTS, Answer, Downloaded, Patience, download, fetch, judge_redirect
from swhkit.manifest import object_id, parse_directory, parse_release, parse_revision
from swhkit.model import (
    Branch,
    BranchType,
    Bytes,
    ByteSource,
    Chunks,
    Content,
    Directory,
    Entry,
    ExtId,
    ExtrinsicMetadata,
    File,
    Gap,
    Item,
    LoadStatus,
    ObjectMetadata,
    Outcome,
    Pack,
    Person,
    Release,
    Revision,
    Skipped,
    Snapshot,
    Timestamp,
    Visit,
    VisitStatus,
)
from swhkit.net import Network, Target, UrlForm, curl_resolve, dial, pinned_url, url_form
from swhkit.process import Completed, Runner
from swhkit.refnames import is_branch
from swhkit.ssh import SshKeys, ssh_command, ssh_environment
from swhkit.swhid import Kind, ObjectId
from swhkit.text import without_secrets
from swhkit.tree import EMPTY_DIRECTORY, Tree
from swhkit.treehash import read_directory
from swhkit.units import Duration, Secret, Size, WebAddress
from swhkit.unpack import Archive, ArchiveLimits, ArchiveTree, Member, MemberType, Placed, open_archive
from swhkit.webhook import (
    AnyProof,
    HmacProof,
    Pong,
    Proof,
    Pushed,
    PushWebhook,
    StandardProof,
    TokenProof,
    VisitRequest,
    Webhook,
    WebhookConfig,
    WebhookContext,
    WebhookRefused,
    decoded,
    text_at,
    value_at,
)

#: The name of the plugin system's project, and of the entry-point group. A new major contract gets a new group.
PROJECT = "swhkit"
GROUP = "swhkit.v1"

#: Marks a function of a plugin as the implementation of the hook of its name.
hookimpl = pluggy.HookimplMarker(PROJECT)


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration type of parts that take none."""


class Provider(msgspec.Struct, frozen=True):
    """A part that a plugin can provide: a store, a catalog, a loader …

    ``name`` is the word the configuration uses (for a loader: its visit type). ``factory`` is ``"module:callable"``,
    imported only when the part is used; what it is called with stands at the hook. ``config`` is a frozen
    ``msgspec.Struct`` type with ``forbid_unknown_fields=True``; its fields are the keys the YAML may have beside
    ``backend``, its docstring and field defaults are what ``config show`` and ``init`` print. ``shared``: of a store,
    whether another process that opens it with the same settings sees the same; workers need that.
    """

    name: str
    summary: str
    factory: str
    config: type[msgspec.Struct] = NoConfig
    shared: bool = True


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one visit may take: bytes (``max_content_size``: None is no limit; ``max_pack_size``), seconds
    (``visit_time``)."""

    max_content_size: Annotated[
        Size | None,
        msgspec.Meta(description="Contents of this size and more are recorded as skipped; null is no limit."),
    ] = None
    max_pack_size: Annotated[
        Size, msgspec.Meta(description="A visit fails when more than this comes from an origin.")
    ] = 4 << 30
    visit_time: Annotated[
        Duration, msgspec.Meta(description="A visit fails when it takes longer than this.")
    ] = 6 * 3600.0


class Progress(Protocol):
    """Where a visit tells how far it is. Cheap; may be called from any thread."""

    def __call__(self, phase: str, done: int = 0, total: int | None = None) -> None:
        """``phase`` in the words of a person (``fetching``); ``total`` None when it is not known."""


class VisitContext(msgspec.Struct, frozen=True, kw_only=True):
    """All that a loader has. It holds no store: what a loader yields is the only way in.

    ``previous`` is the snapshot of the latest visit of this origin and type that has one (any status), else None.
    ``missing`` answers for the archive (a content is held iff its bytes and its row are). ``read`` gives the bodies of
    what the archive holds, and of what this visit has yielded as single objects (not of packs, nor of contents above
    ``limits.max_content_size``); the others are left out, and one over 64 MiB raises ``TooLarge``. ``stream`` gives one
    of those in pieces, whatever its size, and raises ``NotHeld``.
    ``closed`` gives those of the given tips whose whole graph is known to be held: only they may be told to a
    server as haves (held is not closed). ``likely_tips`` gives up to n closed tips of origins that may be relatives.
    ``held_objects`` is a git ``objects`` folder with everything the archive holds, to be used as a git alternate,
    or None when the object store has none (then nothing may be told as had). ``anew``: part of what is held of this origin
    is damaged, so bring all of it, whatever is held. ``scratch`` is an empty folder on the
    stage's file system that vanishes with the visit. ``runner`` starts children, ``network`` judges addresses.
    """

    url: str
    visit_type: str
    previous: Snapshot | None
    previous_visit: Visit | None
    missing: Callable[[Iterable[ObjectId]], set[ObjectId]]
    read: Callable[[Iterable[ObjectId]], dict[ObjectId, bytes]]
    stream: Callable[[ObjectId], Iterator[bytes]]
    closed: Callable[[Iterable[ObjectId]], set[ObjectId]]
    likely_tips: Callable[[int], list[ObjectId]]
    extids: Callable[[str, Iterable[bytes], int | None], list[ExtId]]
    held_objects: Path | None
    scratch: Path
    runner: Runner
    network: Network
    limits: Limits
    log: logging.Logger
    progress: Progress
    anew: bool = False


#: What ``Loader.load`` returns: items in any order, one ``Snapshot`` last, and perhaps an ``Outcome``.
Load = Generator[Item, None, Outcome | None]


class Loader(Protocol):
    """Turns one origin into objects. Made anew for each visit by its provider's factory."""

    def load(self, context: VisitContext) -> Load:
        """Yield what the origin holds.

        Raise ``NotFound`` when the origin is not there, ``Unavailable`` when it does not answer or its answer
        cannot be used, ``LimitExceeded`` beyond the limits. An exception after the snapshot was yielded makes the
        visit ``partial`` if the snapshot's graph is complete. The generator is closed early when the visit is
        cancelled: hold resources in ``with`` blocks.
        """


__all__ = [
    "EMPTY_DIRECTORY",
    "GROUP",
    "PROJECT",
    "REDIRECTS",
    "Answer",
    "AnyProof",
    "Archive",
    "ArchiveLimits",
    "ArchiveTree",
    "Branch",
    "BranchType",
    "ByteSource",
    "Bytes",
    "ChildFailed",
    "ChildTimeout",
    "Chunks",
    "Completed",
    "Content",
    "Directory",
    "Downloaded",
    "Duration",
    "Egress",
    "Entry",
    "ExtId",
    "ExtrinsicMetadata",
    "Fetched",
    "File",
    "Forge",
    "ForgeClient",
    "ForgeConfig",
    "ForgeContext",
    "Gap",
    "Git",
    "Hashes",
    "HmacProof",
    "InvalidInput",
    "InvalidUrl",
    "Item",
    "Kind",
    "LimitExceeded",
    "Limits",
    "Load",
    "LoadStatus",
    "Loader",
    "Member",
    "MemberType",
    "MissingProgram",
    "Moment",
    "Network",
    "NoConfig",
    "NotFound",
    "NotHeld",
    "ObjectId",
    "ObjectMetadata",
    "Outcome",
    "Pack",
    "Paging",
    "Patience",
    "Person",
    "Placed",
    "Pong",
    "Progress",
    "Proof",
    "Provider",
    "PushWebhook",
    "Pushed",
    "Release",
    "Repository",
    "Revision",
    "Runner",
    "Secret",
    "Size",
    "Skipped",
    "Snapshot",
    "SshKeys",
    "StandardProof",
    "SwhkitError",
    "Target",
    "Timestamp",
    "TokenProof",
    "TooLarge",
    "Tree",
    "Unavailable",
    "UrlForm",
    "Visit",
    "VisitContext",
    "VisitRequest",
    "VisitStatus",
    "WebAddress",
    "Webhook",
    "WebhookConfig",
    "WebhookContext",
    "WebhookRefused",
    "by_body",
    "by_header",
    "by_link",
    "by_number",
    "curl_resolve",
    "decoded",
    "dial",
    "download",
    "egress",
    "fetch",
    "hash_chunks",
    "hash_content",
    "hookimpl",
    "in_parts",
    "is_branch",
    "judge_redirect",
    "object_id",
    "open_archive",
    "parse_directory",
    "parse_release",
    "parse_revision",
    "pinned_url",
    "read_directory",
    "ssh_command",
    "ssh_environment",
    "text_at",
    "url_form",
    "value_at",
    "with_parameters",
    "without_secrets",
]
