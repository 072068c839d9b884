"""Headers that are composed: ``Link``, ``Content-Disposition``, those of answers that nobody may keep."""

from __future__ import annotations

import re
from email.utils import formatdate
from urllib.parse import quote

#: Control characters belong in no file's name.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: What may stand between the quotes of a file name; all else becomes ``_`` there.
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


def page_links(following: str | None, previous: str | None = None) -> dict[str, str]:
    """The ``Link`` header that names neighbouring pages (RFC 8288); empty where there are none."""
    named = (("next", following), ("previous", previous))
    text = ",".join(f'<{url}>; rel="{name}"' for name, url in named if url is not None)
    return {"Link": text} if text else {}


def attachment(name: str) -> str:
    """A ``Content-Disposition`` that saves under ``name`` (RFC 6266), whatever characters it has.

    ``filename`` has only plain characters; where that changes the name, ``filename*`` has all of it in UTF-8. Control
    characters are ``_`` in both.
    """
    name = _CONTROL.sub("_", name)
    plain = _UNSAFE.sub("_", name)
    value = f'attachment; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe='')}"
    return value


def never_cached() -> dict[str, str]:
    """The headers of answers about something that changes (requests, bundles in the making): nobody may keep them."""
    return {
        "Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private",
        "Expires": formatdate(usegmt=True),
    }
