"""Questions to an archive: what is held, what it looks like, what leads where. Pure reads, without HTTP.

Every function takes the ``Archive`` first and answers with the structs of ``swhkit.model``. What is not held raises
``NotHeld`` whose text is the very reason the web API gives (some clients match on it): those texts live here alone.
A content counts as held iff its row is visible. ``Corrupt`` and ``Unreachable`` come through as the stores raise them.
"""

from swhkit.query.contents import content, content_bytes, held_sha1s
from swhkit.query.directories import Listed, directory, entry, listing
from swhkit.query.ends import directory_of, revision_of
from swhkit.query.history import (
    InRevision,
    in_revision,
    log,
    person_numbers,
    release,
    revision,
    revision_message,
)
from swhkit.query.identifiers import body, known, not_held, raw_manifest, resolve
from swhkit.query.objects import BATCH, EMPTY_DIRECTORY, Unreadable
from swhkit.query.origins import latest_visit, origin, origin_head, visit, visits
from swhkit.query.pieces import Pieces
from swhkit.query.snapshots import ALIAS_DEPTH, SnapshotPage, branch, branches, snapshot

__all__ = [
    "ALIAS_DEPTH",
    "BATCH",
    "EMPTY_DIRECTORY",
    "InRevision",
    "Listed",
    "Pieces",
    "SnapshotPage",
    "Unreadable",
    "body",
    "branch",
    "branches",
    "content",
    "content_bytes",
    "directory",
    "directory_of",
    "entry",
    "held_sha1s",
    "in_revision",
    "known",
    "latest_visit",
    "listing",
    "log",
    "not_held",
    "origin",
    "origin_head",
    "person_numbers",
    "raw_manifest",
    "release",
    "resolve",
    "revision",
    "revision_message",
    "revision_of",
    "snapshot",
    "visit",
    "visits",
]
