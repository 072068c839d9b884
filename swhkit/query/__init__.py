"""Questions to an archive: what is held, what it looks like, what leads where. Pure reads, without HTTP.

Every function takes the ``Archive`` first and answers with the structs of ``swhkit.model``. What is not held raises
``NotHeld`` whose text is the very reason the web API gives (some clients match on it): those texts live here alone.
A content counts as held iff its row is visible. ``Corrupt`` and ``Unreachable`` come through as the stores raise them.
"""

from swhkit.query.contents import content, content_bytes, held_sha1s
from swhkit.query.directories import Listed, directory, entry, listing
from swhkit.query.ends import directory_of, revision_of
from swhkit.query.extids import extid, extids_of
from swhkit.query.extrinsic import Position, Said, authorities, extrinsic_bytes, extrinsic_metadata, known_url
from swhkit.query.history import (
    InRevision,
    in_revision,
    log,
    person_numbers,
    release,
    revision,
    revision_message,
    revisions,
)
from swhkit.query.identifiers import body, known, not_held, raw_manifest, resolve
from swhkit.query.objects import BATCH, EMPTY_DIRECTORY, Unreadable
from swhkit.query.origins import (
    latest_visit,
    numbered_origin,
    numbered_visit,
    numbered_visits,
    origin,
    origin_head,
    origins,
    search,
    typed_origin,
    visit,
    visits,
)
from swhkit.query.persons import person
from swhkit.query.pieces import Pieces
from swhkit.query.snapshots import ALIAS_DEPTH, SnapshotPage, branch, branches, every_branch, snapshot
from swhkit.query.visited import revision_at, visit_at

__all__ = [
    "ALIAS_DEPTH",
    "BATCH",
    "EMPTY_DIRECTORY",
    "InRevision",
    "Listed",
    "Pieces",
    "Position",
    "Said",
    "SnapshotPage",
    "Unreadable",
    "authorities",
    "body",
    "branch",
    "branches",
    "content",
    "content_bytes",
    "directory",
    "directory_of",
    "entry",
    "every_branch",
    "extid",
    "extids_of",
    "extrinsic_bytes",
    "extrinsic_metadata",
    "held_sha1s",
    "in_revision",
    "known",
    "known_url",
    "latest_visit",
    "listing",
    "log",
    "not_held",
    "numbered_origin",
    "numbered_visit",
    "numbered_visits",
    "origin",
    "origin_head",
    "origins",
    "person",
    "person_numbers",
    "raw_manifest",
    "release",
    "resolve",
    "revision",
    "revision_at",
    "revision_message",
    "revision_of",
    "revisions",
    "search",
    "snapshot",
    "typed_origin",
    "visit",
    "visit_at",
    "visits",
]
