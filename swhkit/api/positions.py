"""Page tokens: where a listing goes on, as a text that clients hand back and do not read."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from swhkit.api.errors import BadInput

_FORM = struct.Struct(">QQ")
_CHECK = 5


def token(after: int, offset: int = 0) -> str:
    """The token for what comes after the number ``after`` (0 to 2^64 - 1), less the first ``offset``."""
    data = _FORM.pack(after, offset)
    return base64.urlsafe_b64encode(data + _check(data)).decode("ascii")


def position(text: str) -> tuple[int, int]:
    """What a token says. Raises ``BadInput`` for a text that is none of ours."""
    try:
        data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        after, offset = _FORM.unpack(data[:-_CHECK])
    except (UnicodeEncodeError, binascii.Error, struct.error):
        raise _refused() from None
    if _check(data[:-_CHECK]) != data[-_CHECK:]:
        raise _refused()
    return int(after), int(offset)


def _check(data: bytes) -> bytes:
    # Against mistakes: a token says nothing but where to go on, so there is nothing to be gained by forging one.
    return hashlib.blake2s(data, digest_size=_CHECK, person=b"pagetokn").digest()


def _refused() -> BadInput:
    return BadInput("Invalid page token: use the Link header to browse through the result")
