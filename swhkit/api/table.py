"""The table of all routes, in the order in which they are tried (origin URLs are greedy: their routes come last)."""

from __future__ import annotations

import msgspec

from swhkit.api import (
    add_forge,
    badges,
    bulk,
    contents,
    directories,
    extids,
    extrinsic,
    identifiers,
    index,
    older,
    older_revisions,
    operations,
    origins,
    persons,
    releases,
    revisions,
    saves,
    searching,
    site,
    snapshots,
    statistics,
    status,
    webhooks,
)
from swhkit.api.routing import Route

_RESOURCES: tuple[Route, ...] = (
    *operations.ROUTES,
    *statistics.ROUTES,
    *contents.ROUTES,
    *directories.ROUTES,
    *(msgspec.structs.replace(route, older=True) for route in older_revisions.ROUTES),
    *revisions.ROUTES,
    *releases.ROUTES,
    *snapshots.ROUTES,
    *identifiers.ROUTES,
    *extids.ROUTES,
    *extrinsic.ROUTES,
    *persons.ROUTES,
    *add_forge.ROUTES,
    *status.ROUTES,
    *searching.ROUTES,
    *bulk.ROUTES,
    *saves.ROUTES,
    *webhooks.ROUTES,
    *(msgspec.structs.replace(route, older=True) for route in older.ROUTES),
    *origins.ROUTES,
    *badges.ROUTES,
    *site.ROUTES,
)
#: All of them, and what is made from the table itself: the index, the documentation.
ROUTES: tuple[Route, ...] = (*index.routes(_RESOURCES), *_RESOURCES)
