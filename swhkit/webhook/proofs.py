"""Proofs that who sent a delivery knows the secret. All compare bytes in constant time; nothing is parsed.

A header that is missing, empty, sent twice, cut, not ASCII, or made with a weaker digest is no proof, and neither is
anything made with an empty secret.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

#: The signatures of Standard Webhooks, each with the version of its scheme.
_SIGNATURES = re.compile(
    r"v[0-9a-z]{1,8},[A-Za-z0-9+/=]{1,200}(?: v[0-9a-z]{1,8},[A-Za-z0-9+/=]{1,200}){0,9}", re.ASCII
)


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


class StandardProof(msgspec.Struct, frozen=True):
    """A signature as Standard Webhooks has it (https://github.com/standard-webhooks/standard-webhooks, version 1.0.0).

    ``webhook-signature`` has signatures with spaces between them; ``v1,`` and the base64 of the HMAC-SHA-256 of
    ``webhook-id.webhook-timestamp.body`` is one. The key is what stands, in base64, behind ``whsec_`` in the secret.
    ``tolerance``: seconds that the timestamp (Unix time) may differ from the time here, or old deliveries could be sent
    again by others.
    """

    tolerance: float = 300.0

    def holds(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether one of the signatures is right."""
        key = _standard_key(secret)
        id, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not key or not id or re.fullmatch(r"[0-9]{1,12}", moment, re.ASCII) is None:
            return False
        digest = hmac.new(key, b".".join((_bytes(id), moment.encode(), body)), "sha256").digest()
        expected = b"v1," + base64.b64encode(digest)
        given = headers.get("webhook-signature", "")
        if _SIGNATURES.fullmatch(given) is None or abs(time.time() - int(moment)) > self.tolerance:
            return False
        return any(hmac.compare_digest(_bytes(one), expected) for one in given.split(" "))


class AnyProof(msgspec.Struct, frozen=True):
    """One of several, for forges that let their users choose."""

    proofs: tuple[Proof, ...]

    def holds(self, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
        """Whether one of them holds."""
        return any(proof.holds(headers, body, secret) for proof in self.proofs)


def _standard_key(secret: str) -> bytes:
    """The key in a secret of Standard Webhooks; empty for what is no such secret."""
    if not secret.startswith("whsec_"):
        return b""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return b""


def _bytes(text: str) -> bytes:
    # Different texts give different bytes, and none an error: not even a header that is not UTF-8.
    return text.encode("utf-8", "surrogatepass")
