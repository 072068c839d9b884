"""How people write quantities, and types that say so: ``Duration``, ``Size``, ``Secret`` and more.

A field of a configuration struct annotated with one of them may be written in its notation (``max_pack_size: 4GiB``)
and is printed in it. To Python and to msgspec such a field is a plain ``float``, ``int`` or ``str``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from swhkit.text import without_secrets

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", re.ASCII)
_WEB_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_RATE = re.compile(r"\s*([1-9][0-9]{0,8})\s*/\s*([smhd])\s*", re.ASCII)
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True)
class Notation:
    """The way a value is written. ``read`` turns what was written into the value, or raises ``ValueError`` with a
    sentence that says what was expected; ``write`` is its inverse. A ``masked`` value is never printed."""

    name: str
    read: Callable[[Any], Any]
    write: Callable[[Any], str] = str
    masked: bool = False


def parse_duration(text: str | float) -> float:
    """Seconds of ``90s``, ``5m``, ``6h``, ``1d`` or of a bare number. Raises ``ValueError``."""
    return float(_quantity(text, _SECONDS, "a duration such as 90s, 5m, 6h or 1d (a bare number is seconds)"))


def parse_size(text: str | float) -> int:
    """Bytes of ``512KiB``, ``4GiB`` or of a bare whole number. Raises ``ValueError``."""
    value = _quantity(text, _BYTES, "a size such as 64KiB, 100MiB or 4GiB (a bare whole number is bytes)")
    if value != int(value):
        raise ValueError(f"expected a whole number of bytes, got {text}")
    return int(value)


def format_duration(seconds: float) -> str:
    """The shortest exact notation: ``6h``, ``90s``."""
    return _format(seconds, _SECONDS, "s")


def format_size(size: int) -> str:
    """The shortest exact notation: ``4GiB``, ``100B``."""
    return _format(size, _BYTES, "B")


def parse_listen(text: object) -> str:
    """``text`` itself if it is ``HOST:PORT`` (an IPv6 host in brackets; port 0 picks one). Raises ``ValueError``."""
    match = _LISTEN.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"expected HOST:PORT such as 127.0.0.1:5080 or [::1]:5080, got {text!r}")
    return match[0]


def parse_web_address(text: object) -> str:
    """``text`` itself if it is an http or https URL, without the slash at its end. Raises ``ValueError``."""
    if not isinstance(text, str) or not _WEB_ADDRESS.fullmatch(text):
        shown = without_secrets(text) if isinstance(text, str) else text
        raise ValueError(f"expected a URL such as https://archive.example.org, got {shown!r}")
    return text.rstrip("/")


def parse_rate(text: object) -> str:
    """``text`` as ``COUNT/UNIT``, as in ``120/h``. Raises ``ValueError``."""
    count, seconds = rate_of(text)
    return f"{count}/{next(unit for unit, length in _SECONDS.items() if length == seconds)}"


def rate_of(text: object) -> tuple[int, int]:
    """How many in how many seconds ``120/h`` is. Raises ``ValueError``."""
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"expected a rate such as 10/s, 60/m, 120/h or 1000/d, got {text!r}")
    return int(match[1]), _SECONDS[match[2]]


def parse_address_range(text: object) -> str:
    """An address (``::1``) or a network of them (``10.0.0.0/8``) in its usual form. Raises ``ValueError``."""
    try:
        # A number would be an address, too.
        return str(ipaddress.ip_network(text if isinstance(text, str) else ""))
    except ValueError:
        raise ValueError(
            f"expected an address or a network such as 10.0.0.0/8, 192.0.2.1 or fd00::/8, got {text!r}"
        ) from None


def _quantity(text: str | float, units: dict[str, int], expected: str) -> float:
    if isinstance(text, bool):
        raise ValueError(f"expected {expected}, got {str(text).lower()}")
    if isinstance(text, int | float):
        if not 0 <= text < 1 << 63:
            raise ValueError(f"expected {expected} between 0 and 2^63, got {text}")
        return text
    if not isinstance(text, str):
        raise ValueError(f"expected {expected}, got {type(text).__name__}")
    match = _QUANTITY.fullmatch(text)
    if match is not None and match[2] in units:
        return _quantity(_number(match[1]) * units[match[2]], units, expected)
    if re.fullmatch(r"[0-9]{1,19}", text):
        return _quantity(int(text), units, expected)
    raise ValueError(f"expected {expected}, got {text!r}")


def _number(text: str) -> float:
    return float(text) if "." in text or len(text) > 19 else int(text)


def _format(value: float, units: dict[str, int], smallest: str) -> str:
    unit = max((u for u in units if value and value % units[u] == 0), key=units.__getitem__, default=smallest)
    return (
        f"{value / units[unit]:.15g}{unit}" if value != int(value) else f"{int(value) // units[unit]}{unit}"
    )


#: Seconds, written ``90s 5m 6h 1d`` or as a bare number.
Duration = Annotated[float, Notation("duration", parse_duration, format_duration)]
#: Bytes, written ``64KiB 100MiB 4GiB`` or as a bare whole number.
Size = Annotated[int, Notation("size", parse_size, format_size)]
#: A text that is never printed.
Secret = Annotated[str, Notation("secret", lambda value: value, masked=True)]
#: ``HOST:PORT`` to listen on.
Listen = Annotated[str, Notation("HOST:PORT", parse_listen)]
#: The address of a web server, without a slash at its end.
WebAddress = Annotated[str, Notation("URL", parse_web_address)]
#: So many in a second, minute, hour or day, written ``120/h``.
Rate = Annotated[str, Notation("rate", parse_rate)]
#: An IP address or a network of them, written ``10.0.0.0/8``.
AddressRange = Annotated[str, Notation("network", parse_address_range)]
