"""``release/``."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.parameters import git_hash
from swhkit.api.routing import Route
from swhkit.api.schemas import ref


def release(call: Call) -> Data:
    """A release: a name that was given to another object, with who did it and when.

    ``target`` mostly is a revision. ``message`` and ``author`` are null where the release has none.
    """
    digest = git_hash(call.parameters["id"])
    found = query.release(call.archive, digest)
    persons = query.person_numbers(call.archive, (found,))
    return Data(shapes.release(call.links, digest, found, persons))


ROUTES = (Route("release", "release/{id:hex}/", release, category="Release", answer=ref("Release")),)
