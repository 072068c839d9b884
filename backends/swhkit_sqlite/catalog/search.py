"""Searching for origins by their URLs: a full-text index of trigrams, and looking at URLs where it cannot help.

The index (FTS5, https://sqlite.org/fts5.html) has the case-folded URLs without keeping their text a second time. It is
written in the transaction that makes an origin, compared with the origins by a full check, and made anew by ``mend``.
What it says is tested against the URLs: an index that is wrong is ``Corrupt``, never a wrong answer.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, repeat

from swhkit.search import Fits, FoundOrigin, Looked, OriginPage, OriginQuery, folded, look
from swhkit_sqlite.catalog.sums import mending, sound
from swhkit_sqlite.catalog.tables import Tables, clipped, to_date
from swhkit_sqlite.catalog.visits import origin_of
from swhkit_sqlite.codec import groups, values
from swhkit_sqlite.connection import Database

_CREATE = (
    "CREATE VIRTUAL TABLE origin_text USING fts5(url, content='', columnsize=0, "
    "tokenize='trigram case_sensitive 1')"
)
#: Shorter words than this have no trigram; of longer ones the index is asked for the beginning only.
_TRIGRAM, _LONGEST = 3, 64
#: Words that the index is asked for; the longest say most.
_MOST_WORDS = 8
#: What FTS5 cannot tell apart in a text, or ends it at.
_ODD = re.compile("[\0\ufffd-\uffff]")
_BATCH = 1_000
#: Bytes of page cache while the index is made anew.
_CACHE = 64 << 20
#: Counting what is not in the index ends after so many URLs; counting what is, after so many seconds.
_COUNTED, _COUNTING_SECONDS = 20_000, 0.25

_WITH_VISIT = "EXISTS (SELECT 1 FROM visit v WHERE v.origin = o.id AND v.snapshot IS NOT NULL)"
_LATEST = (
    "SELECT v.number FROM visit v WHERE v.origin = o.id AND v.snapshot {} ORDER BY v.number DESC LIMIT 1"
)
_WITH_CONTENT = (
    f"(SELECT s.branches FROM visit l JOIN snapshot s ON s.id = l.snapshot WHERE l.origin = o.id AND l.number = "
    f"({_LATEST.format('IS NOT NULL')})) > 0"
)
_OF_TYPE = "instr(' ' || o.visit_types || ' ', ?) > 0"
#: An origin, its latest visit, the latest with a snapshot, and the first since which that has not changed.
_FACTS = (
    f"SELECT {sound(o='origin', l='visit')} AND (c.id IS NULL OR coalesce({sound(c='visit', s='snapshot', e='visit')}, 0)), "
    "o.id, o.url, o.digest, o.visit_types, l.number, l.date, s.digest, e.date FROM k CROSS JOIN origin o ON o.id = k.id "
    "LEFT JOIN visit l ON l.origin = o.id AND l.number = (SELECT max(v.number) FROM visit v WHERE v.origin = o.id) "
    f"LEFT JOIN visit c ON c.origin = o.id AND c.number = ({_LATEST.format('IS NOT NULL')}) "
    "LEFT JOIN snapshot s ON s.id = c.snapshot "
    "LEFT JOIN visit e ON e.origin = o.id AND e.number = ("
    "SELECT min(f.number) FROM visit f WHERE f.origin = o.id AND f.snapshot IS NOT NULL "
    f"AND f.number > coalesce(({_LATEST.format('!= c.snapshot')}), 0)) ORDER BY o.id"
)


class Searching(Tables):
    """The part of a ``Catalog`` that finds origins."""

    def search_origins(
        self, query: OriginQuery, *, after: int = 0, offset: int = 0, limit: int = 70
    ) -> OriginPage:
        """As the contract. Where the index has all words, it counts for as long as ``_COUNTING_SECONDS``; else the
        first ``_COUNTED`` URLs are looked at to count."""
        self._db.check_open()
        fits, after, offset, limit = Fits(query), clipped(after), max(offset, 0), max(limit, 0)
        if not _can_fit(query, fits):
            return OriginPage([], 0)
        candidates = _Candidates(query, fits)
        if candidates.exact:
            return self._indexed(candidates, fits, after, clipped(offset), limit)
        looked = look(self._rows(candidates), fits, after, offset, limit)
        total = self._looked_at(candidates, fits, looked if not after and not offset else None)
        return OriginPage(self._facts(looked.ids), total, looked.next, looked.offset)

    def _indexed(
        self, candidates: _Candidates, fits: Fits, after: int, offset: int, limit: int
    ) -> OriginPage:
        sql, parameters = candidates.select(f"{candidates.id} > ?")
        with self._db.reading() as connection:
            page = (*parameters, after, clipped(limit + 1), offset)
            ids = [id for id, _ in connection.execute(f"{sql} LIMIT ? OFFSET ?", page).fetchall()]
        found = self._facts(ids[:limit])
        if not all(fits(one.origin.url) for one in found):
            raise self._damaged("the index of URLs names an origin that does not fit")
        every = after <= 0 and not offset and len(ids) <= limit
        total = len(found) if every else self._total(candidates)
        return OriginPage(found, total, found[-1].origin.id if len(ids) > limit > 0 else None)

    def _rows(self, candidates: _Candidates) -> Callable[[int], Sequence[tuple[int, str]]]:
        sql, parameters = candidates.select(f"{candidates.id} > ?")

        def rows(after: int) -> Sequence[tuple[int, str]]:
            with self._db.reading() as connection:
                return connection.execute(f"{sql} LIMIT {_BATCH}", (*parameters, after)).fetchall()

        return rows

    def _total(self, candidates: _Candidates) -> int | None:
        end = time.monotonic() + _COUNTING_SECONDS
        with self._db.reading() as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
            try:
                (total,) = connection.execute(*candidates.count()).fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
                return None
            finally:
                connection.set_progress_handler(None, 0)
        return int(total)

    def _looked_at(self, candidates: _Candidates, fits: Fits, first: Looked | None) -> int | None:
        if first is None or first.next is not None:
            first = look(self._rows(candidates), fits, 0, 0, _COUNTED, _COUNTED)
        return len(first.ids) if first.next is None else None

    def _facts(self, ids: Sequence[int]) -> list[FoundOrigin]:
        """What is known of these origins: one question for all."""
        found: list[FoundOrigin] = []
        for group in groups(ids):
            found += self._all(_found, f"WITH k(id) AS ({values(len(group))}) {_FACTS}", group)
        if len(found) != len(ids):
            raise self._damaged("the index of URLs names an origin that is not there")
        return found


class _Candidates:
    """SQL for the origins that may fit a query. ``exact``: they all do, as long as the index is sound."""

    def __init__(self, query: OriginQuery, fits: Fits) -> None:
        match, whole = _match(fits.words)
        self.exact = whole and query.regexp is None
        self.id = "o.id" if match is None else "t.rowid"
        self._tables = "origin o" if match is None else "origin_text t CROSS JOIN origin o ON o.id = t.rowid"
        self._conditions = ["1"] if match is None else ["t.origin_text MATCH ?"]
        self._parameters = [] if match is None else [match]
        if query.visit_type is not None:
            self._conditions.append(_OF_TYPE)
            self._parameters.append(f" {query.visit_type} ")
        self._conditions += [_WITH_VISIT] * query.with_visit + [_WITH_CONTENT] * query.with_content

    def select(self, condition: str) -> tuple[str, list[str]]:
        """(id, URL) by id, with one more condition whose parameter comes last."""
        where = " AND ".join((*self._conditions, condition))
        return (
            f"SELECT {self.id}, o.url FROM {self._tables} WHERE {where} ORDER BY {self.id}",
            self._parameters,
        )

    def count(self) -> tuple[str, list[str]]:
        """How many there are. Without further conditions the index alone tells."""
        plain = len(self._conditions) == 1 and self.id == "t.rowid"
        tables = "origin_text t" if plain else self._tables
        return f"SELECT count(*) FROM {tables} WHERE {' AND '.join(self._conditions)}", self._parameters


def _can_fit(query: OriginQuery, fits: Fits) -> bool:
    """Whether anything could: no URL has half a surrogate pair, no visit type a space."""
    type = query.visit_type
    try:
        "".join((*fits.words, type or "")).encode()
    except UnicodeEncodeError:
        return False
    return type is None or (bool(type) and not any(c.isspace() or c == "\0" for c in type))


def _match(words: Sequence[str]) -> tuple[str | None, bool]:
    """The words (longest first) as the index is asked for them, always quoted, so that nothing in them is syntax; and
    whether it then knows all that there is to know."""
    parts = [part[:_LONGEST] for word in words for part in _ODD.split(word) if len(part) >= _TRIGRAM]
    whole = len(words) <= _MOST_WORDS and all(
        _TRIGRAM <= len(word) <= _LONGEST and not _ODD.search(word) for word in words
    )
    quoted = ['"' + part.replace('"', '""') + '"' for part in parts[:_MOST_WORDS]]
    return " AND ".join(quoted) or None, whole


def _found(
    id: int,
    url: str,
    digest: bytes,
    types: str,
    visits: int,
    last: int,
    snapshot: bytes | None,
    eventful: int | None,
) -> FoundOrigin:
    return FoundOrigin(
        origin_of(id, url, digest, types),
        visits,
        snapshot,
        to_date(last),
        None if eventful is None else to_date(eventful),
    )


# -- the index -------------------------------------------------------------------------------------------------------


def create(connection: sqlite3.Connection) -> None:
    """Make the index, with the origins that are there and sound."""
    connection.execute(_CREATE)
    connection.executemany("INSERT INTO origin_text (rowid, url) VALUES (?, ?)", _texts(connection))


def recreate(db: Database) -> bool:
    """Make the index anew, whatever has become of it; in a transaction of its own.

    True if its pages made no sense: they could not be given back, and only ``VACUUM`` gets rid of them.
    """
    try:
        with _writing(db) as connection:
            connection.execute("DROP TABLE IF EXISTS origin_text")
            create(connection)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
            raise  # locked, full: no damage
        # FTS5 holds on to what it has failed with, so this needs a connection that has not met it
        with _writing(db) as connection:
            with mending(connection):
                connection.execute(
                    "DELETE FROM sqlite_master WHERE tbl_name = 'origin_text' OR tbl_name LIKE 'origin~_text~_%' ESCAPE '~'"
                )
            connection.execute("PRAGMA writable_schema=RESET")
            create(connection)
        return True
    return False


@contextmanager
def _writing(db: Database) -> Iterator[sqlite3.Connection]:
    """A new connection, and a transaction on it."""
    connection = db.connect(_CACHE)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


def enter(connection: sqlite3.Connection, id: int, url: str, again: bool = False) -> None:
    """Put an origin into the index, in the caller's transaction; ``again``: unless it is there."""
    text = _indexed(url)
    if again and (match := _match((text,))[0]):
        sql = "SELECT 1 FROM origin_text WHERE origin_text MATCH ? AND rowid = ?"
        if connection.execute(sql, (match, id)).fetchone():
            return
    connection.execute("INSERT INTO origin_text (rowid, url) VALUES (?, ?)", (id, text))


def is_whole(connection: sqlite3.Connection) -> bool:
    """Whether the index has what the origins have, and nothing else, on a connection of the caller's own.

    Both are summed up without order, in memory that does not grow, and at one moment, whoever writes meanwhile. Takes
    some seconds for a hundred thousand origins.
    """
    connection.execute("PRAGMA query_only=OFF")  # for the temporary table
    connection.execute("BEGIN")
    try:
        connection.execute(
            "CREATE VIRTUAL TABLE temp.origin_words USING fts5vocab(main, origin_text, instance)"
        )
        kept = sum(map(hash, connection.execute("SELECT term, doc, offset FROM temp.origin_words")))
        made = sum(sum(map(hash, _trigrams(id, text))) for id, text in _texts(connection))
        settings = connection.execute("SELECT k, typeof(v) FROM origin_text_config").fetchall()
        return kept == made and settings == [("version", "integer")] and _is_reachable(connection)
    except sqlite3.DatabaseError:  # it cannot even be read
        return False
    finally:
        connection.execute("ROLLBACK")


def _is_reachable(connection: sqlite3.Connection) -> bool:
    """Whether a search for each trigram finds all that the index has of it."""
    connection.execute("CREATE VIRTUAL TABLE temp.origin_terms USING fts5vocab(main, origin_text, row)")
    sql = "SELECT count(*) FROM origin_text WHERE origin_text MATCH ?"
    return all(
        connection.execute(sql, ('"' + term.replace('"', '""') + '"',)).fetchone() == (origins,)
        for term, origins in connection.execute("SELECT term, doc FROM temp.origin_terms")
    )


def _texts(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    sql = f"SELECT o.id, CAST(o.url AS BLOB) FROM origin o WHERE {sound(o='origin')} ORDER BY o.id"
    for id, url in connection.execute(sql):
        yield id, _indexed(url.decode("utf-8", "replace"))


def _indexed(url: str) -> str:
    return _ODD.sub("\ufffd", folded(url))


def _trigrams(id: int, text: str) -> Iterator[tuple[str, int, int]]:
    return zip(map("".join, zip(text, text[1:], text[2:], strict=False)), repeat(id), count(), strict=False)
