"""Proofs that who sent a delivery knows the secret. All compare bytes in constant time; nothing is parsed.

A header that is missing, empty, sent twice, cut, not ASCII, or made with a weaker digest is no proof, and neither is
anything made with an empty secret.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec


class Proof(Protocol):
    """A way to prove that a secret is known."""

    def holds(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether a delivery proves it. Never raises."""


class HmacProof(msgspec.Struct, frozen=True):
    """The HMAC of the body as it was sent (RFC 2104), in lower-case hex behind ``prefix``, in a header.

    ``headers``: its names in lower case; of several the first that is there counts. ``digest`` is SHA-256 but for a
    forge that has nothing better: what is known against SHA-1 does not help to forge an HMAC (RFC 6194, section 3.3).
    """

    headers: tuple[str, ...]
    prefix: str = ""
    digest: Literal["sha256", "sha1"] = "sha256"

    def holds(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether the header has it."""
        given = next((headers[name] for name in self.headers if name in headers), None)
        if given is None or not secret:
            return False
        expected = self.prefix + hmac.new(_bytes(secret), body, self.digest).hexdigest()
        return hmac.compare_digest(_bytes(given), expected.encode("ascii"))


class TokenProof(msgspec.Struct, frozen=True):
    """The secret itself in a header."""

    header: str

    def holds(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:  # noqa: ARG002
        """Whether the header has it; the body does not count."""
        given = headers.get(self.header)
        return given is not None and secret != "" and hmac.compare_digest(_bytes(given), _bytes(secret))


def _bytes(text: str) -> bytes:
    # Different texts give different bytes, and none an error: not even a header that is not UTF-8.
    return text.encode("utf-8", "surrogatepass")
