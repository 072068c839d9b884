"""The catalog's tables, written by hand where the form matters.

Content rows: a rowid table with four narrow indexes on the first five bytes of each digest. Random keys cost B-tree
pages, so narrow indexes make publishing several times quicker than full ones; the prefix cannot be unique, so known
rows are taken out inside the transaction before the others are inserted, and look-ups ask for prefix and digest.
Moments are microseconds since 1970 UTC. Each row has a checksum (``sums``).
"""

from __future__ import annotations

import sqlite3

from swhkit.storage import COUNTERS
from swhkit_sqlite.catalog import search
from swhkit_sqlite.catalog.sums import COLUMNS, add_columns, install
from swhkit_sqlite.connection import Schema

_CONTENTS = (
    """CREATE TABLE content (
        id INTEGER PRIMARY KEY,
        sha1_git BLOB NOT NULL,
        sha1 BLOB NOT NULL,
        sha256 BLOB NOT NULL,
        blake2s256 BLOB NOT NULL,
        length INTEGER NOT NULL,
        absent INTEGER NOT NULL,
        reason TEXT
    )""",
    "CREATE INDEX content_sha1_git ON content (substr(sha1_git, 1, 5))",
    "CREATE INDEX content_sha1 ON content (substr(sha1, 1, 5))",
    "CREATE INDEX content_sha256 ON content (substr(sha256, 1, 5))",
    "CREATE INDEX content_blake2s256 ON content (substr(blake2s256, 1, 5))",
    """CREATE VIEW v_contents AS
        SELECT id, lower(hex(sha1_git)) AS sha1_git, lower(hex(sha1)) AS sha1, lower(hex(sha256)) AS sha256,
            lower(hex(blake2s256)) AS blake2s256, length, iif(absent, 'absent', 'visible') AS status, reason
        FROM content""",
)

_SNAPSHOTS = (
    """CREATE TABLE snapshot (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        branches INTEGER NOT NULL
    )""",
    # a run of branches, zstd over msgpack; shared by all snapshots that have the same run
    """CREATE TABLE branch_run (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        types INTEGER NOT NULL,
        length INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE snapshot_run (
        snapshot INTEGER NOT NULL REFERENCES snapshot (id),
        first BLOB NOT NULL,
        run INTEGER NOT NULL REFERENCES branch_run (id),
        PRIMARY KEY (snapshot, first)
    ) WITHOUT ROWID""",
    "CREATE VIEW v_snapshots AS SELECT id, lower(hex(digest)) AS digest, branches FROM snapshot",
)

_VISITS = (
    """CREATE TABLE origin (
        id INTEGER PRIMARY KEY,
        url TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        visit_types TEXT NOT NULL
    )""",
    # status, snapshot and reason are those of the last row of visit_status
    """CREATE TABLE visit (
        id INTEGER PRIMARY KEY,
        origin INTEGER NOT NULL REFERENCES origin (id),
        number INTEGER NOT NULL,
        type TEXT NOT NULL,
        date INTEGER NOT NULL,
        status TEXT NOT NULL,
        snapshot INTEGER REFERENCES snapshot (id),
        reason TEXT,
        UNIQUE (origin, number)
    )""",
    "CREATE INDEX visit_unfinished ON visit (id) WHERE status IN ('created', 'ongoing')",
    "CREATE INDEX visit_snapshot ON visit (snapshot) WHERE snapshot IS NOT NULL",
    """CREATE TABLE visit_status (
        visit INTEGER NOT NULL REFERENCES visit (id),
        seq INTEGER NOT NULL,
        date INTEGER NOT NULL,
        status TEXT NOT NULL,
        snapshot INTEGER REFERENCES snapshot (id),
        reason TEXT,
        PRIMARY KEY (visit, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE gap (
        visit INTEGER NOT NULL REFERENCES visit (id),
        seq INTEGER NOT NULL,
        reason TEXT NOT NULL,
        kind TEXT,
        digest BLOB,
        referrer BLOB,
        branch BLOB,
        PRIMARY KEY (visit, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE closed_tip (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        digest BLOB NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        UNIQUE (digest, kind, name)
    )""",
    "CREATE INDEX closed_tip_name ON closed_tip (name, seq)",
    """CREATE VIEW v_origins AS
        SELECT id, url, 'swh:1:ori:' || lower(hex(digest)) AS swhid, visit_types FROM origin""",
    """CREATE VIEW v_visits AS
        SELECT o.url, v.number, v.type, datetime(v.date / 1000000, 'unixepoch') AS date, v.status,
            'swh:1:snp:' || lower(hex(s.digest)) AS snapshot, v.reason
        FROM visit v JOIN origin o ON o.id = v.origin LEFT JOIN snapshot s ON s.id = v.snapshot""",
    """CREATE VIEW v_visit_statuses AS
        SELECT o.url, v.number, t.seq, datetime(t.date / 1000000, 'unixepoch') AS date, t.status, t.reason
        FROM visit_status t JOIN visit v ON v.id = t.visit JOIN origin o ON o.id = v.origin""",
    """CREATE VIEW v_gaps AS
        SELECT o.url, v.number, g.reason, 'swh:1:' || g.kind || ':' || lower(hex(g.digest)) AS object,
            lower(hex(g.referrer)) AS referrer, CAST(g.branch AS TEXT) AS branch
        FROM gap g JOIN visit v ON v.id = g.visit JOIN origin o ON o.id = v.origin""",
    """CREATE VIEW v_closed_tips AS
        SELECT seq, name, 'swh:1:' || kind || ':' || lower(hex(digest)) AS swhid FROM closed_tip""",
)

_FACTS = (
    """CREATE TABLE object_metadata (
        digest BLOB NOT NULL,
        kind TEXT NOT NULL,
        revision_type TEXT,
        synthetic INTEGER NOT NULL,
        metadata TEXT,
        PRIMARY KEY (digest, kind)
    ) WITHOUT ROWID""",
    """CREATE TABLE extid (
        type TEXT NOT NULL,
        value BLOB NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (type, value, version, kind, digest)
    ) WITHOUT ROWID""",
    "CREATE INDEX extid_target ON extid (digest)",
    """CREATE TABLE extrinsic_metadata (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        target TEXT NOT NULL,
        discovery_date INTEGER NOT NULL,
        authority_type TEXT NOT NULL,
        authority_url TEXT NOT NULL,
        fetcher_name TEXT NOT NULL,
        fetcher_version TEXT NOT NULL,
        format TEXT NOT NULL,
        origin TEXT,
        visit INTEGER,
        snapshot TEXT,
        release TEXT,
        revision TEXT,
        path BLOB,
        directory TEXT,
        metadata BLOB NOT NULL
    )""",
    "CREATE INDEX extrinsic_metadata_target ON extrinsic_metadata (target, discovery_date, digest)",
    """CREATE TABLE person (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        fullname BLOB NOT NULL
    )""",
    "CREATE INDEX person_key ON person (key)",
    """CREATE TABLE counter (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE VIEW v_object_metadata AS
        SELECT 'swh:1:' || kind || ':' || lower(hex(digest)) AS swhid, revision_type, synthetic, metadata
        FROM object_metadata""",
    """CREATE VIEW v_extids AS
        SELECT type, version, lower(hex(value)) AS value, 'swh:1:' || kind || ':' || lower(hex(digest)) AS target
        FROM extid""",
    """CREATE VIEW v_extrinsic_metadata AS
        SELECT 'swh:1:emd:' || lower(hex(digest)) AS swhid, target,
            datetime(discovery_date / 1000000, 'unixepoch') AS discovery_date, authority_type, authority_url,
            fetcher_name, fetcher_version, format, length(metadata) AS length, origin, visit
        FROM extrinsic_metadata""",
    "CREATE VIEW v_persons AS SELECT id, CAST(fullname AS TEXT) AS fullname FROM person",
)


def _first(connection: sqlite3.Connection) -> None:
    """The first form of the file."""
    for statement in (*_CONTENTS, *_SNAPSHOTS, *_VISITS, *_FACTS):
        connection.execute(statement)
    connection.executemany("INSERT INTO counter VALUES (?, 0)", [(name,) for name in COUNTERS])


def _second(connection: sqlite3.Connection) -> None:
    """Rows get checksums, and snapshots the number of their runs, so that a lost one is noticed."""
    connection.execute("ALTER TABLE snapshot ADD COLUMN runs INTEGER NOT NULL DEFAULT 0")
    connection.execute(
        "UPDATE snapshot SET runs = (SELECT count(*) FROM snapshot_run r WHERE r.snapshot = snapshot.id)"
    )
    add_columns(connection, tuple(COLUMNS))


def _third(connection: sqlite3.Connection) -> None:
    """Origins can be searched for."""
    search.create(connection)


#: 0x73776B63 is "swkc".
SCHEMA = Schema("catalog", 0x73776B63, (_first, _second, _third), install)
