"""The schedule: forges and the pages they answered here; ``listings`` has what they list, ``freshness`` the origins."""

from __future__ import annotations

import datetime
import sqlite3

import msgspec

from swhkit.requests.kept import in_utc, kept
from swhkit.requests.rules import plain_options
from swhkit.requests.schedule import KnownForge, NewForge, Page
from swhkit_sqlite.catalog.sums import checksum, next_id
from swhkit_sqlite.catalog.tables import clipped
from swhkit_sqlite.codec import Damaged, compress, decompress
from swhkit_sqlite.requests.freshness import Origins
from swhkit_sqlite.requests.listings import FORGES, Listings

_PAGE = "forge, url, etag, headers, codec, length, body"


class SqliteSchedule(Listings, Origins):
    """The role ``Schedule``; see ``swhkit.requests.schedule`` for what each method promises."""

    def set_forge(self, forge: NewForge, now: datetime.datetime) -> KnownForge:
        """As the contract."""
        forge, now = kept(forge), in_utc(now)
        fields = {name: getattr(forge, name) for name in NewForge.__struct_fields__}
        fields["options"] = plain_options(forge.options)
        with self._writing() as connection:
            known = FORGES.one(connection, "WHERE kind = ? AND url = ?", (forge.kind, forge.url))
            if known is None:
                made = KnownForge(**fields, id=next_id(connection, FORGES.name), created=now, due=now)
            else:
                made = msgspec.structs.replace(known, **fields, enabled=True)
            FORGES.put(connection, [FORGES.row(made)])
        return made

    def forge(self, id: int) -> KnownForge | None:
        """As the contract."""
        return self._one(FORGES, "WHERE id = ?", clipped(id))

    def forges(self) -> list[KnownForge]:
        """As the contract."""
        return self._values(FORGES, "ORDER BY id")

    def enable_forge(self, id: int, enabled: bool) -> None:
        """As the contract."""
        self._change(id, enabled=enabled)

    def set_forge_due(self, id: int, due: datetime.datetime) -> None:
        """As the contract."""
        self._change(id, due=in_utc(due))

    def _change(self, id: int, **changes: object) -> None:
        with self._writing() as connection:
            known = FORGES.one(connection, "WHERE id = ?", (clipped(id),))
            if known is not None:
                FORGES.put(connection, [FORGES.row(msgspec.structs.replace(known, **changes))])

    def page(self, forge: int, url: str) -> Page | None:
        """As the contract."""
        sql = f"SELECT id, {_PAGE}, checksum FROM forge_page WHERE forge = ? AND url = ?"
        with self._reading() as connection:
            found = connection.execute(sql, (clipped(forge), url)).fetchone()
        if found is None or checksum("forge_page", *found[:-1]) != found[-1]:
            return None
        _, _, _, etag, headers, codec, length, body, _ = found
        try:
            kept_body = decompress(codec, body, length)
        except Damaged:
            return None
        return Page(etag=etag, headers=msgspec.json.decode(headers), body=kept_body)

    def keep_page(self, forge: int, url: str, page: Page) -> None:
        """As the contract."""
        page = kept(page)
        codec, body = compress(page.body)
        headers = msgspec.json.encode(dict(page.headers)).decode()
        with self._writing() as connection:
            if FORGES.one(connection, "WHERE id = ?", (clipped(forge),)) is not None:
                _replace_page(connection, forge, url, (page.etag, headers, codec, len(page.body), body))


def _replace_page(
    connection: sqlite3.Connection, forge: int, url: str, kept_page: tuple[str, str, int, int, bytes]
) -> None:
    connection.execute("DELETE FROM forge_page WHERE forge = ? AND url = ?", (forge, url))
    row = (next_id(connection, "forge_page"), forge, url, *kept_page)
    marks = ", ".join("?" * (len(row) + 1))
    connection.execute(
        f"INSERT INTO forge_page (id, {_PAGE}, checksum) VALUES ({marks})",
        (*row, checksum("forge_page", *row)),
    )
