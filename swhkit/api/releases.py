"""``release/``."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.parameters import git_hash
from swhkit.api.routing import Route


def release(call: Call) -> Data:
    """A release."""
    digest = git_hash(call.parameters["id"])
    found = query.release(call.archive, digest)
    persons = query.person_numbers(call.archive, (found,))
    return Data(shapes.release(call.links, digest, found, persons))


ROUTES = (Route("release", "release/{id:hex}/", release),)
