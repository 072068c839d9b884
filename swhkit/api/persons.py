"""``person/``: authors, committers and taggers by number."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.parameters import number
from swhkit.api.routing import Route
from swhkit.api.schemas import ref


def person(call: Call) -> Data:
    """A person that revisions and releases name, by the number that the archive gave them.

    Such numbers come with the persons of revisions and releases; they differ from archive to archive. ``fullname`` is
    what the object says, ``name`` and ``email`` are taken from it and null where it has none.
    """
    id = number(call.parameters["id"])
    found = query.person(call.archive, id)
    return Data(shapes.numbered_person(found, id))


ROUTES = (
    Route(
        "person",
        "person/{id:number}/",
        person,
        category="Person",
        answer=ref("NumberedPerson"),
        refusals=(404,),
    ),
)
