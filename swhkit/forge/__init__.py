"""Forges: the contract of their plugins, and the client that pages, waits, retries and remembers for them."""

from swhkit.forge.client import ForgeClient
from swhkit.forge.contract import Forge, ForgeContext, Repository

__all__ = ["Forge", "ForgeClient", "ForgeContext", "Repository"]
