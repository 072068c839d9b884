"""cgit and gitweb: what they host, and what they tell when it changes."""

from __future__ import annotations

from swhkit.plugin import Provider, hookimpl
from swhkit_cgit.settings import WebConfig


@hookimpl
def swhkit_forges() -> list[Provider]:
    """The forges of cgit and gitweb."""
    return [
        Provider("cgit", "cgit", "swhkit_cgit.forge:CgitForge", WebConfig),
        Provider("gitweb", "gitweb", "swhkit_cgit.forge:GitwebForge", WebConfig),
    ]
