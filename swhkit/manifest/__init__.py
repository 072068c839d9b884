"""Model objects to the bytes that are hashed, and back, without losing a byte.

The body of an object is what git (and, for snapshots and extrinsic metadata, Software Heritage) hashes after the
header ``TYPE SP LENGTH NUL`` (ISO/IEC 18670, section 5). ``encode(parse(kind, body)) == body`` for every body that
can be parsed: where the fields do not give the bytes back, the object carries them whole as ``raw_manifest``.
``InvalidManifest`` is raised only where git itself could not follow the object: a commit that does not begin with a
tree, a tag that does not begin with an object and its type, a tree that is cut short or has an unreadable mode.

Nothing here recurses, and everything is linear in the length of the body.
"""

from swhkit.manifest.directories import parse_directory
from swhkit.manifest.extrinsic import emd_id, emd_manifest, origin_digest
from swhkit.manifest.graph import edges, edges_of_snapshot
from swhkit.manifest.headers import Header
from swhkit.manifest.history import fullnames, parse_release, parse_revision
from swhkit.manifest.objects import Manifested, encode, object_id, parse, with_metadata
from swhkit.manifest.persons import SECONDS_MAX, SECONDS_MIN, person_of
from swhkit.manifest.snapshots import encode_snapshot, parse_snapshot

__all__ = [
    "SECONDS_MAX",
    "SECONDS_MIN",
    "Header",
    "Manifested",
    "edges",
    "edges_of_snapshot",
    "emd_id",
    "emd_manifest",
    "encode",
    "encode_snapshot",
    "fullnames",
    "object_id",
    "origin_digest",
    "parse",
    "parse_directory",
    "parse_release",
    "parse_revision",
    "parse_snapshot",
    "person_of",
    "with_metadata",
]
