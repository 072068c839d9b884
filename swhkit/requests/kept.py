"""What every store does to a value before it keeps it, so that all stores give back the same."""

from __future__ import annotations

import datetime
from typing import TypeVar

import msgspec

from swhkit.errors import InvalidInput

S = TypeVar("S", bound=msgspec.Struct)

#: Texts that explain something: they may quote file names that are no Unicode, and are kept all the same.
EXPLANATIONS = frozenset({"note", "reason", "text", "error"})


def kept(value: S) -> S:
    """The value as it is kept: its moments in UTC, lone surrogates in explanations as backslash escapes.

    Raises ``ValueError`` for a moment without time zone, ``InvalidInput`` for another text that is no Unicode.
    """
    changes: dict[str, object] = {}
    for name in value.__struct_fields__:
        found = getattr(value, name)
        if isinstance(found, datetime.datetime):
            changes[name] = in_utc(found)
        elif isinstance(found, str) and not found.isascii():
            changes[name] = unicode(found, explains=name in EXPLANATIONS)
    return msgspec.structs.replace(value, **changes) if changes else value


def in_utc(moment: datetime.datetime) -> datetime.datetime:
    """The same moment in UTC. Raises ``ValueError`` for one without time zone."""
    if moment.tzinfo is None:
        raise ValueError(f"the moment {moment} has no time zone")
    return moment.astimezone(datetime.UTC)


def unicode(text: str, *, explains: bool = False) -> str:
    """The text, if it is one: lone surrogates are ``InvalidInput``, or become escapes if it ``explains`` something."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if not explains:
            raise InvalidInput(f"{text[:80]!r} is no Unicode text: it cannot be kept") from error
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text
