"""Origins and visits as older clients know them: with numbers, and links by number."""

from __future__ import annotations

from swhkit.api import shapes
from swhkit.api.calls import Links
from swhkit.model import Origin, Visit


def origin(links: Links, value: Origin) -> shapes.Json:
    """An origin with its number and the type of its first visit; what newer clients know of it, too."""
    url = links.to("origin-number-visits", id=value.id)
    return {
        "id": value.id,
        "type": value.visit_types[0] if value.visit_types else None,
        **shapes.origin(links, value),
        **({} if url is None else {"origin_visits_url": url}),
    }


def visit(links: Links, known: Origin, value: Visit, *, listed: bool = False) -> shapes.Json:
    """A visit of the origin ``known``; in a list it links to itself, else to its origin."""
    if listed:
        name, url = "origin_visit_url", links.to("origin-number-visit", id=known.id, visit=value.number)
    else:
        name, url = "origin_url", links.to("origin-number", id=known.id)
    return {
        **shapes.visit(links, value, listed=listed),
        "id": known.id,
        "origin": known.id,
        **({} if url is None else {name: url}),
    }
