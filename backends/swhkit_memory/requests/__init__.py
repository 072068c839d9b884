"""What people ask for, in dicts behind one lock. Each module has one role, this one joins them and has the tokens."""

from __future__ import annotations

import datetime
import hmac

import msgspec

from swhkit.requests import Token, hour_of
from swhkit.requests.kept import in_utc, kept
from swhkit_memory.requests.door import Door
from swhkit_memory.requests.forge_requests import MemoryForgeRequests
from swhkit_memory.requests.saves import MemorySaves
from swhkit_memory.requests.schedule import MemorySchedule


class MemoryRequests:
    """A ``Requests`` store in memory; see ``swhkit.requests`` for what each method promises."""

    def __init__(self) -> None:
        self._door = Door()
        self._tokens: dict[str, Token] = {}
        self._digests: dict[str, bytes] = {}
        self._saves = MemorySaves(self._door)
        self._forge_requests = MemoryForgeRequests(self._door)
        self._schedule = MemorySchedule(self._door)

    @property
    def saves(self) -> MemorySaves:
        """As the contract."""
        return self._saves

    @property
    def forge_requests(self) -> MemoryForgeRequests:
        """As the contract."""
        return self._forge_requests

    @property
    def schedule(self) -> MemorySchedule:
        """As the contract."""
        return self._schedule

    def add_token(self, token: Token, digest: bytes) -> bool:
        """As the contract."""
        if len(digest) != 32:
            raise ValueError(f"a SHA-256 has 32 bytes, this one {len(digest)}")
        token = kept(token)
        with self._door.open():
            if token.name in self._tokens or digest in self._digests.values():
                return False
            self._tokens[token.name] = token
            self._digests[token.name] = digest
        return True

    def token(self, digest: bytes) -> Token | None:
        """As the contract: every digest is compared."""
        with self._door.open():
            found = [name for name, held in self._digests.items() if hmac.compare_digest(held, digest)]
            return self._tokens[found[0]] if found else None

    def tokens(self) -> list[Token]:
        """As the contract."""
        with self._door.open():
            return sorted(self._tokens.values(), key=lambda token: token.created)

    def use_token(self, name: str, at: datetime.datetime) -> None:
        """As the contract."""
        hour = hour_of(at)
        with self._door.open():
            token = self._tokens.get(name)
            if token is not None and (token.last_used is None or token.last_used < hour):
                self._tokens[name] = msgspec.structs.replace(token, last_used=hour)

    def revoke_token(self, name: str, at: datetime.datetime) -> bool:
        """As the contract."""
        moment = in_utc(at)
        with self._door.open():
            token = self._tokens.get(name)
            if token is not None and token.revoked is None:
                self._tokens[name] = msgspec.structs.replace(token, revoked=moment)
            return token is not None

    def close(self) -> None:
        """As the contract."""
        self._door.shut()
