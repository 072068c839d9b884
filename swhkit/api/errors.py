"""Errors as the web API tells them: one table from exception to status and class name.

The body is ``{"exception": …, "reason": …}``; ``reason`` is an object of arrays for parameters that do not validate.
What is not in the table is a fault of ours: 500, its class name, a general sentence, and a traceback in the log only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from swhkit import errors
from swhkit.api.requestids import CURRENT
from swhkit.query import Unreadable
from swhkit.saving import Rejected

_log = logging.getLogger(__name__)

#: What a client is told of faults that are not its business.
INTERNAL = "An internal error occurred; it has been logged."


class ApiError(errors.InvalidInput):
    """A request that is refused, with its status, class name, reason and further headers."""

    status, name = 400, "BadInputExc"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, reason: str | dict[str, list[str]]) -> None:
        super().__init__(str(reason))
        self.reason = reason


class BadInput(ApiError):
    """What was asked makes no sense."""


class ValidationError(ApiError):
    """A parameter with a wrong value; the reason names it."""

    name = "ValidationError"

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__({parameter: [text]})


class ParseError(ApiError):
    """A body that is not what its content type says."""

    name = "ParseError"


class UnknownFormat(ApiError):
    """``?format=`` with a word that is none."""

    status, name = 404, "Http404"


class MethodNotAllowed(ApiError):
    """The resource exists, for other methods."""

    status, name = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    """Nothing of what ``Accept`` lists can be had."""

    status, name = 406, "NotAcceptable"


class LargePayload(ApiError):
    """More was sent than is taken at once."""

    status, name = 413, "LargePayloadExc"


class UnsupportedMediaType(ApiError):
    """A body of a type that is not understood."""

    status, name = 415, "UnsupportedMediaType"


class NoResource(Exception):
    """A path that fits a route and still leads nowhere: the answer is that of a URL that leads nowhere."""


class Failure(msgspec.Struct, frozen=True):
    """An error answer: status, extra headers, body."""

    status: int
    data: dict[str, object]
    headers: dict[str, str] = {}


#: Exception type → (status, class name told). The first that fits counts.
TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (Rejected, 403, "ForbiddenExc"),
    (errors.InvalidInput, 400, "BadInputExc"),
    (errors.NotHeld, 404, "NotFoundExc"),
    (errors.Unreachable, 503, "StorageAPIError"),
    (errors.Busy, 503, "StorageDBError"),
    (errors.TooLarge, 413, "LargePayloadExc"),
    (errors.Corrupt, 500, "Corrupt"),
    (Unreadable, 500, "Unreadable"),
)
#: Seconds after which a client may ask again when the archive cannot tell (503).
RETRY_AFTER = "30"


def failure(error: Exception) -> Failure:
    """The answer to an error. Logs what an administrator has to know."""
    if isinstance(error, ApiError):
        return Failure(error.status, _body(error.name, error.reason), dict(error.headers))
    for kind, status, name in TABLE:
        if isinstance(error, kind):
            if status >= 500:
                _log.error("request %s: %s: %s", CURRENT.get(), name, error)
            headers = {"Retry-After": RETRY_AFTER} if status == 503 else {}
            return Failure(status, _body(name, str(error)), headers)
    _log.error("request %s failed", CURRENT.get(), exc_info=error)
    return Failure(500, _body(type(error).__name__, INTERNAL))


def unrouted(path: str) -> Failure:
    """The answer to a URL that leads nowhere, which has a shape of its own."""
    reason = f"The resource {path} could not be found on the server."
    return Failure(404, {"error": "Resource not found", "reason": clean(reason)})


def clean(text: str) -> str:
    """``text`` without lone surrogates (bytes of a URL that are not UTF-8): those are written ``\\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _body(name: str, reason: str | dict[str, list[str]]) -> dict[str, object]:
    return {"exception": name, "reason": clean(reason) if isinstance(reason, str) else reason}
