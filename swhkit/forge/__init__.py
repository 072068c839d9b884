"""Forges: the contract of their plugins, and the client that pages, waits, retries and remembers for them."""

from swhkit.forge.asking import ForgeLimits
from swhkit.forge.client import ForgeClient
from swhkit.forge.contract import Forge, ForgeConfig, ForgeContext, Moment, Repository
from swhkit.forge.paging import Fetched, Paging, by_body, by_header, by_link, by_number, with_parameters
from swhkit.forge.parts import in_parts

__all__ = [
    "Fetched",
    "Forge",
    "ForgeClient",
    "ForgeConfig",
    "ForgeContext",
    "ForgeLimits",
    "Moment",
    "Paging",
    "Repository",
    "by_body",
    "by_header",
    "by_link",
    "by_number",
    "in_parts",
    "with_parameters",
]
