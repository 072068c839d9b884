"""The table of all routes, in the order in which they are tried (origin URLs are greedy: their routes come last)."""

from __future__ import annotations

from swhkit.api import contents, directories, identifiers, origins, releases, revisions, snapshots, statistics
from swhkit.api.routing import Route

ROUTES: tuple[Route, ...] = (
    *statistics.ROUTES,
    *contents.ROUTES,
    *directories.ROUTES,
    *revisions.ROUTES,
    *releases.ROUTES,
    *snapshots.ROUTES,
    *identifiers.ROUTES,
    *origins.ROUTES,
)
