"""What the resources that take requests share: the desk of a call, headers of answers that nobody may keep, and who asks."""

from __future__ import annotations

from collections.abc import Mapping

from swhkit.api.auth import Forbidden
from swhkit.api.calls import Call
from swhkit.api.paging import never_cached
from swhkit.desk import Desk


def desk_of(call: Call) -> Desk:
    """The desk that takes requests. Raises ``Forbidden`` where none are taken."""
    if call.desk is None:
        raise Forbidden("This archive takes no requests: it is read-only.")
    return call.desk


def never_kept() -> Mapping[str, str]:
    """Headers of an answer that no cache may keep, as the public archive sends them."""
    return never_cached()
