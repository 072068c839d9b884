"""The gate of the web API: who is there, may they come in, and how often.

In the order of the public archive: a bad token is told first, then a lack of permission, then that it was too much. The
event loop does all of it, but for the look-up of a token that it has not seen for a while: that takes a hop of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from swhkit.api import auth, requestids
from swhkit.api.auth import AuthenticationFailed, Tokens, check_permission
from swhkit.api.calls import User
from swhkit.api.clients import Client, Clients, Headers, Networks
from swhkit.api.errors import ApiError
from swhkit.api.metrics import UNROUTED
from swhkit.api.routing import Route
from swhkit.api.threads import Threads
from swhkit.api.throttling import Limits, Throttled, Verdict


class Visitor(msgspec.Struct):
    """Who makes a request: ``client``; ``user`` as soon as a token has told; ``refusal``, if there is one; ``verdict``
    once the request was counted; ``route`` is the name of what was asked for; ``id`` is that of the request.
    """

    client: Client
    user: User | None = None
    digest: bytes | None = None
    refusal: ApiError | None = None
    verdict: Verdict | None = None
    route: str = UNROUTED
    id: str = "-"


class _Unread:
    """The headers of a request of which nothing could be read."""

    def getall(self, name: str, default: list[str], /) -> list[str]:  # noqa: ARG002
        """None."""
        return default


class Gate:
    """Lets requests in or not. It belongs to the event loop; ``close`` lets go of the tokens.

    ``inside`` has networks whose clients need no token for a permission.
    """

    def __init__(
        self,
        clients: Clients,
        tokens: Tokens,
        limits: Limits,
        threads: Threads,
        inside: Mapping[str, Networks] = MappingProxyType({}),
    ) -> None:
        self._clients, self._tokens, self._limits, self._threads = clients, tokens, limits, threads
        self._inside = inside

    def visitor(self, peer: str | None, headers: Headers) -> Visitor:
        """Who is there, as far as it can be told at once."""
        visitor = Visitor(self._clients.of(peer, headers))
        given = headers.getall(requestids.HEADER, [])
        trusted = len(given) == 1 and self._clients.trusts(peer)
        visitor.id = requestids.request_id(given[0] if trusted else None)
        try:
            visitor.digest = auth.digest_in(headers.getall("Authorization", []))
        except AuthenticationFailed as error:
            visitor.refusal = error
        if visitor.digest is not None:
            visitor.user = self._tokens.remembered(visitor.digest)
        return visitor

    async def admit(self, visitor: Visitor, route: Route, method: str) -> None:
        """Count a request and decide on it: ``visitor.refusal`` says no. Raises what the store of tokens raises."""
        try:
            if visitor.digest is not None and visitor.user is None:
                visitor.user = await self._threads.call(self._tokens.find, visitor.digest)
            if visitor.refusal is None and not self._is_inside(visitor, route.permission):
                check_permission(visitor.user, route.permission)
        except ApiError as error:
            visitor.refusal = error
        visitor.verdict = self._limits.count(visitor.client, visitor.user, route.scope, method)
        if visitor.refusal is None and visitor.verdict.wait is not None:
            visitor.refusal = Throttled(visitor.verdict.wait)

    def _is_inside(self, visitor: Visitor, permission: str | None) -> bool:
        networks = None if permission is None else self._inside.get(permission)
        return networks is not None and not visitor.client.hidden and visitor.client.address in networks

    def headers(self, visitor: Visitor) -> dict[str, str]:
        """The ``X-RateLimit`` headers of an answer, be it one that was counted or not."""
        verdict = visitor.verdict or self._limits.count(visitor.client, visitor.user, None)
        return verdict.headers

    def headers_of(self, peer: str | None) -> dict[str, str]:
        """The same for a peer of whose request nothing could be read."""
        return self.headers(Visitor(self._clients.of(peer, _Unread())))

    def close(self) -> None:
        """Let go of the store of tokens."""
        self._tokens.close()
