"""What a server says of an archive that nobody described: when it was last changed, and how long it is."""

from __future__ import annotations

import email.utils

import msgspec

from swhkit.plugin import VisitContext, fetch
from swhkit_tarball import Artifact


def with_facts(context: VisitContext, artifact: Artifact) -> Artifact:
    """``artifact`` with the ``time`` and ``length`` that its server answers to HEAD, where it does.

    Nothing is made up: an archive of which nobody says when it was changed gets a release without a date. Raises
    ``NotFound``, ``Unavailable``, ``InvalidUrl``.
    """
    target = context.network.check(artifact.url)
    if target.scheme not in ("http", "https"):
        return artifact
    with fetch(context.network, target, method="HEAD", deadline=context.runner.deadline) as answer:
        if answer.status in (405, 501):  # it knows no HEAD: GET will tell whether the archive is there
            return artifact
        answer.check()
        changed, length = answer.headers.get("Last-Modified", ""), answer.headers.get("Content-Length", "")
    known = artifact.length if not (length.isascii() and length.isdecimal()) else int(length[:18])
    return msgspec.structs.replace(artifact, time=_moment(changed), length=known)


def _moment(text: str) -> str | None:
    """The moment of a Last-Modified (RFC 9110, section 8.8.2) in ISO 8601; None if it is none."""
    try:
        return email.utils.parsedate_to_datetime(text).isoformat()
    except (ValueError, OverflowError):
        return None
