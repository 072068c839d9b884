"""The tables of the request store, by roles, and the steps from one form of the file to the next.

Moments are microseconds since 1970 UTC, intervals seconds, lists and mappings JSON. Each row has a checksum. The views
show moments as dates. There is an index for each question; one for few rows among many has only these. SQLite has no
statistics of the tables, so that it always answers alike; where it would choose another index, the question names its own.
"""

from __future__ import annotations

import sqlite3

from swhkit.requests import LOOKED_UP
from swhkit_sqlite.connection import Schema


def _dates(*columns: str) -> str:
    """SQL that shows moments as dates, to the second."""
    return ", ".join(f"datetime({column} / 1000000, 'unixepoch') AS {column}" for column in columns)


_TOKENS = (
    """CREATE TABLE token (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        digest BLOB NOT NULL UNIQUE,
        user TEXT NOT NULL,
        email TEXT NOT NULL,
        permissions TEXT NOT NULL,
        created INTEGER NOT NULL,
        last_used INTEGER,
        revoked INTEGER,
        checksum INTEGER NOT NULL
    )""",
    f"CREATE INDEX token_digest ON token (substr(digest, 1, {LOOKED_UP}))",
    """CREATE VIEW v_tokens AS
        SELECT name, user, email, permissions, datetime(created / 1000000, 'unixepoch') AS created,
            datetime(last_used / 1000000, 'unixepoch') AS last_used,
            datetime(revoked / 1000000, 'unixepoch') AS revoked FROM token""",
)

_SAVES = (
    """CREATE TABLE save_request (
        id INTEGER PRIMARY KEY,
        url TEXT NOT NULL,
        visit_type TEXT NOT NULL,
        date INTEGER NOT NULL,
        status TEXT NOT NULL,
        not_before INTEGER,
        user TEXT,
        webhook TEXT NOT NULL,
        note TEXT NOT NULL,
        artifacts TEXT NOT NULL,
        trusted INTEGER NOT NULL,
        job INTEGER,
        decided INTEGER,
        decided_by TEXT,
        checksum INTEGER NOT NULL
    )""",
    "CREATE INDEX save_request_url ON save_request (url)",
    "CREATE INDEX save_request_status ON save_request (status)",
    "CREATE INDEX save_request_jobless ON save_request (id) WHERE status = 'accepted' AND job IS NULL",
    """CREATE TABLE save_prefix (
        prefix TEXT PRIMARY KEY,
        accepted INTEGER NOT NULL,
        date INTEGER NOT NULL,
        user TEXT,
        checksum INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE bulk_request (
        number INTEGER PRIMARY KEY,
        origins INTEGER NOT NULL,
        id TEXT NOT NULL UNIQUE,
        date INTEGER NOT NULL,
        user TEXT NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    "CREATE INDEX bulk_request_user ON bulk_request (user)",
    """CREATE TABLE bulk_origin (
        request INTEGER NOT NULL REFERENCES bulk_request (number),
        url TEXT NOT NULL,
        visit_type TEXT NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        job INTEGER,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (request, url, visit_type)
    ) WITHOUT ROWID""",
    "CREATE INDEX bulk_origin_jobless ON bulk_origin (request) WHERE status = 'accepted' AND job IS NULL",
    """CREATE TABLE webhook_answer (
        webhook TEXT NOT NULL,
        delivery TEXT NOT NULL,
        date INTEGER NOT NULL,
        status INTEGER NOT NULL,
        body BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (webhook, delivery)
    ) WITHOUT ROWID""",
    "CREATE INDEX webhook_answer_date ON webhook_answer (date)",
    f"""CREATE VIEW v_save_requests AS
        SELECT id, url, visit_type, status, user, webhook, note, artifacts, trusted, job, decided_by,
            {_dates("date", "not_before", "decided")} FROM save_request""",
    f"CREATE VIEW v_save_prefixes AS SELECT prefix, accepted, user, {_dates('date')} FROM save_prefix",
    f"CREATE VIEW v_bulk_requests AS SELECT number, id, user, origins, {_dates('date')} FROM bulk_request",
    """CREATE VIEW v_bulk_origins AS
        SELECT r.id AS request, o.url, o.visit_type, o.status, o.reason, o.job
        FROM bulk_origin o JOIN bulk_request r ON r.number = o.request""",
    f"""CREATE VIEW v_webhook_answers AS
        SELECT webhook, delivery, status, CAST(body AS TEXT) AS body, {_dates("date")} FROM webhook_answer""",
)

_FORGE_REQUESTS = (
    """CREATE TABLE forge_request (
        id INTEGER PRIMARY KEY,
        forge_type TEXT NOT NULL,
        forge_url TEXT NOT NULL UNIQUE,
        contact_name TEXT NOT NULL,
        contact_email TEXT NOT NULL,
        contact_comment TEXT NOT NULL,
        submitter TEXT NOT NULL,
        submitter_email TEXT NOT NULL,
        forward_username INTEGER NOT NULL,
        date INTEGER NOT NULL,
        status TEXT NOT NULL,
        moderator TEXT,
        modified INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    )""",
    "CREATE INDEX forge_request_submitter ON forge_request (submitter)",
    "CREATE INDEX forge_request_status ON forge_request (status)",
    """CREATE TABLE forge_request_event (
        request INTEGER NOT NULL REFERENCES forge_request (id),
        id INTEGER PRIMARY KEY,
        date INTEGER NOT NULL,
        actor TEXT NOT NULL,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        status TEXT,
        checksum INTEGER NOT NULL
    )""",
    "CREATE INDEX forge_request_event_request ON forge_request_event (request)",
    f"""CREATE VIEW v_forge_requests AS
        SELECT id, forge_type, forge_url, status, submitter, submitter_email, forward_username, contact_name,
            contact_email, contact_comment, moderator, {_dates("date", "modified")} FROM forge_request""",
    f"""CREATE VIEW v_forge_request_events AS
        SELECT id, request, actor, role, status, text, {_dates("date")} FROM forge_request_event""",
)

_SCHEDULE = (
    """CREATE TABLE forge (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        url TEXT NOT NULL,
        source TEXT NOT NULL,
        every REAL NOT NULL,
        visit_every REAL,
        options TEXT NOT NULL,
        trusted INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        created INTEGER NOT NULL,
        "full" INTEGER,
        listed INTEGER,
        due INTEGER,
        checksum INTEGER NOT NULL,
        UNIQUE (kind, url)
    )""",
    """CREATE TABLE listing (
        id INTEGER PRIMARY KEY,
        forge INTEGER NOT NULL REFERENCES forge (id),
        is_full INTEGER NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER,
        status TEXT NOT NULL,
        repositories INTEGER NOT NULL,
        new INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        error TEXT,
        checksum INTEGER NOT NULL
    )""",
    "CREATE INDEX listing_forge ON listing (forge)",
    "CREATE INDEX listing_running ON listing (forge) WHERE ended IS NULL",
    # seen: the listing that saw it last; lost: the one that disabled it
    """CREATE TABLE listed_origin (
        seen INTEGER NOT NULL REFERENCES listing (id),
        lost INTEGER REFERENCES listing (id),
        forge INTEGER NOT NULL REFERENCES forge (id),
        key TEXT NOT NULL,
        url TEXT NOT NULL,
        visit_type TEXT NOT NULL,
        last_update INTEGER,
        archived INTEGER NOT NULL,
        fork INTEGER NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        missed INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        former TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (forge, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX listed_origin_url ON listed_origin (forge, url)",
    "CREATE INDEX listed_origin_enabled ON listed_origin (forge, enabled)",
    "CREATE INDEX listed_origin_lost ON listed_origin (lost) WHERE lost IS NOT NULL",
    """CREATE TABLE forge_page (
        id INTEGER PRIMARY KEY,
        forge INTEGER NOT NULL REFERENCES forge (id),
        url TEXT NOT NULL,
        etag TEXT NOT NULL,
        headers TEXT NOT NULL,
        codec INTEGER NOT NULL,
        length INTEGER NOT NULL,
        body BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        UNIQUE (forge, url)
    )""",
    # overdue: the moment after which an origin in state ok is overdue
    """CREATE TABLE freshness (
        overdue INTEGER,
        url TEXT NOT NULL,
        visit_type TEXT NOT NULL,
        state TEXT,
        since INTEGER,
        visited INTEGER,
        succeeded INTEGER,
        failures INTEGER NOT NULL,
        reason TEXT,
        last_update INTEGER,
        every REAL,
        due INTEGER,
        trusted INTEGER NOT NULL,
        forge INTEGER,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (url, visit_type)
    ) WITHOUT ROWID""",
    "CREATE INDEX freshness_state ON freshness (state)",
    "CREATE INDEX freshness_due ON freshness (due) WHERE due IS NOT NULL",
    "CREATE INDEX freshness_overdue ON freshness (overdue) WHERE overdue IS NOT NULL",
    f"""CREATE VIEW v_forges AS
        SELECT id, kind, url, source, enabled, every, visit_every, options, trusted,
            {_dates("created", '"full"', "listed", "due")} FROM forge""",
    f"""CREATE VIEW v_listings AS
        SELECT id, forge, is_full, status, repositories, new, lost, error, {_dates("started", "ended")}
        FROM listing""",
    f"""CREATE VIEW v_listed_origins AS
        SELECT forge, key, url, visit_type, enabled, missed, archived, fork, former,
            {_dates("last_update", "first_seen", "last_seen")} FROM listed_origin""",
    "CREATE VIEW v_forge_pages AS SELECT forge, url, etag, headers, length FROM forge_page",
    f"""CREATE VIEW v_freshness AS
        SELECT url, visit_type, coalesce(state, 'unknown') AS state, failures, reason, every, trusted, forge,
            {_dates("since", "visited", "succeeded", "last_update", "due", "overdue")} FROM freshness""",
)


def _first(connection: sqlite3.Connection) -> None:
    """Access tokens."""
    for statement in _TOKENS:
        connection.execute(statement)


def _second(connection: sqlite3.Connection) -> None:
    """Requests to save code and to add a forge, and the schedule."""
    for statement in (*_SAVES, *_FORGE_REQUESTS, *_SCHEDULE):
        connection.execute(statement)


#: 0x73776B72 is "swkr".
SCHEMA = Schema("request store", 0x73776B72, (_first, _second), mode=0o600)
