"""JSON of strangers, decoded into what was expected or refused with one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from swhkit.errors import Unavailable

T = TypeVar("T")


def decoded(body: bytes, shape: type[T], url: str) -> T:
    """``body`` as a ``shape``. Raises ``Unavailable`` that names ``url`` and what was expected."""
    try:
        body.decode("utf-8")  # what is skipped is not looked at, and would be handed on
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        said = " ".join(str(error).split())[:300]
        raise Unavailable(f"{url}: the answer is not the JSON that was expected ({said})") from error


def items_of(body: bytes, within: str, url: str) -> Sequence[msgspec.Raw]:
    """The items of a JSON array, or of the one that is the key ``within`` of an object, each as the bytes it came in."""
    if not within:
        return decoded(body, list[msgspec.Raw], url)
    whole = decoded(body, dict[str, msgspec.Raw], url)
    if within not in whole:
        raise Unavailable(f"{url}: the answer is not the JSON that was expected (it has no {within!r})")
    return decoded(bytes(whole[within]), list[msgspec.Raw], url)
