"""Request ids: one word by which an answer, its line in the access log and its errors in the log are found together."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar

#: The header, of requests and of answers.
HEADER = "X-Request-Id"
#: The id of the request that is being worked on here, on the event loop or in a thread.
CURRENT: ContextVar[str] = ContextVar("swhkit_request_id", default="-")
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def request_id(given: str | None) -> str:
    """The id that a trusted proxy has ``given`` if it is short and plain, else a new one."""
    return given if given is not None and _PLAIN.fullmatch(given) else os.urandom(8).hex()
