"""The client that forge plugins ask their forges with."""

from __future__ import annotations


class ForgeClient:
    """Being written."""
