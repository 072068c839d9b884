"""Strangers' text made fit to show: no terminal escapes, no controls, no secrets."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?")
#: C0 and C1 controls but tab and newline, line separators, and what turns the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]*)@")
#: Schemes whose lone user name is as a rule an access token.
_TOKEN_SCHEMES = ("http", "https", "ftp", "ftps")


def without_secrets(text: str) -> str:
    """``text`` with the secrets of all URLs in it masked: ``user:***@``, and ``***@`` where a user name may be a token."""
    return _USERINFO.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    scheme, userinfo = match[1], match[2]
    user, colon, _ = userinfo.partition(":")
    if colon:
        return f"{scheme}://{user}:***@"
    return f"{scheme}://***@" if scheme.lower() in _TOKEN_SCHEMES else match[0]


def clean_text(data: bytes) -> str:
    """What a child has said, fit for a terminal, a log or a row: no escapes, no controls, no secrets."""
    text = _ESCAPES.sub("", data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n"))
    return without_secrets(_CONTROLS.sub("", text))
