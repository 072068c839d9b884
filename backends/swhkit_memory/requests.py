"""What people ask for, in dicts behind one lock."""

from __future__ import annotations

import datetime
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from swhkit.requests import Token, hour_of


class MemoryRequests:
    """A ``Requests`` store in memory; see ``swhkit.requests`` for what each method promises."""

    def __init__(self) -> None:
        self._lock, self._closed = threading.Lock(), False
        self._tokens: dict[str, Token] = {}
        self._digests: dict[str, bytes] = {}

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ValueError("the request store is closed")
            yield

    def add_token(self, token: Token, digest: bytes) -> bool:
        """As the contract."""
        if len(digest) != 32:
            raise ValueError(f"a SHA-256 has 32 bytes, this one {len(digest)}")
        moments = {name: getattr(token, name) for name in ("created", "last_used", "revoked")}
        in_utc = {name: at and _utc(at) for name, at in moments.items()}
        with self._open():
            if token.name in self._tokens or digest in self._digests.values():
                return False
            self._tokens[token.name] = msgspec.structs.replace(token, **in_utc)
            self._digests[token.name] = digest
        return True

    def token(self, digest: bytes) -> Token | None:
        """As the contract: every digest is compared."""
        with self._open():
            found = [name for name, held in self._digests.items() if hmac.compare_digest(held, digest)]
            return self._tokens[found[0]] if found else None

    def tokens(self) -> list[Token]:
        """As the contract."""
        with self._open():
            return sorted(self._tokens.values(), key=lambda token: token.created)

    def use_token(self, name: str, at: datetime.datetime) -> None:
        """As the contract."""
        hour = hour_of(at)
        with self._open():
            token = self._tokens.get(name)
            if token is not None and (token.last_used is None or token.last_used < hour):
                self._tokens[name] = msgspec.structs.replace(token, last_used=hour)

    def revoke_token(self, name: str, at: datetime.datetime) -> bool:
        """As the contract."""
        moment = _utc(at)
        with self._open():
            token = self._tokens.get(name)
            if token is not None and token.revoked is None:
                self._tokens[name] = msgspec.structs.replace(token, revoked=moment)
            return token is not None

    def close(self) -> None:
        """As the contract."""
        with self._lock:
            self._closed = True


def _utc(at: datetime.datetime) -> datetime.datetime:
    if at.tzinfo is None:
        raise ValueError(f"the moment {at} has no time zone")
    return at.astimezone(datetime.UTC)
