"""What the resources that take requests share: the desk of a call."""

from __future__ import annotations

from swhkit.api.auth import Forbidden
from swhkit.api.calls import Call
from swhkit.desk import Desk


def desk_of(call: Call) -> Desk:
    """The desk that takes requests. Raises ``Forbidden`` where none are taken."""
    if call.desk is None:
        raise Forbidden("This archive takes no requests: it is read-only.")
    return call.desk
