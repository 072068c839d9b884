"""What is wrong with what a peer sends, before the visit decides what that means."""

from __future__ import annotations


class Broken(Exception):
    """The stream ends early, contradicts itself, or carries the peer's own complaint: no clone can be made of it."""


class CutShort(Broken):
    """The stream ends early: the peer has died, or the connection to it."""


class Unsupported(Exception):
    """A form of repository that is sound, as far as one can tell, and that this loader does not read."""
