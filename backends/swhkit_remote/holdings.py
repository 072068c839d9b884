"""Which objects the other archive holds, a thousand at a time."""

from __future__ import annotations

from collections.abc import Iterable

from swhkit.errors import Unreachable
from swhkit.swhid import ObjectId
from swhkit_remote.batches import batches
from swhkit_remote.client import Client
from swhkit_remote.shapes import Known

#: What the web API takes at once.
KNOWN_MAX = 1000


def held(client: Client, ids: Iterable[ObjectId]) -> list[ObjectId]:
    """Those that are held there, in the order given, each once (in its thousand). Kinds are those of core SWHIDs.

    Raises ``Unreachable`` also if an id is left out of the answer: that is not "not held".
    """
    found: list[ObjectId] = []
    for batch in batches(ids, KNOWN_MAX):
        told, _ = client.json("known/", dict[str, Known], body=[str(id) for id in batch])
        for id in batch:
            one = told.get(str(id))
            if one is None:
                raise Unreachable(f"{client.url} does not tell whether it holds {id}")
            if one.known:
                found.append(id)
    return found
