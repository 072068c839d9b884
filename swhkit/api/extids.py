"""``extid/``: identifiers of other systems."""

from __future__ import annotations

import binascii

from swhkit import query
from swhkit.api import parameters
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.errors import BadInput, clean
from swhkit.api.parameters import from_base64url, to_base64url
from swhkit.api.routing import Parameter, Route
from swhkit.model import ExtId

FORMATS = ("hex", "base64url", "raw")


def extid(call: Call) -> Data:
    """What an identifier of another system names.

    The path has the type (``hg-nodeid``, ``bzr-nodeid``, ``nar-sha256``, ``checksum-sha256``, ``checksum-sha512`` and
    others), the format in which the identifier is written (``hex``; ``base64url``, with or without padding; ``raw``:
    ASCII) and the identifier. ``extid_version`` picks one version; without it the highest counts.

    Answers with the SWHID of the object as ``target``. 400 if the identifier is not written in its format, 404 if
    nothing is known by it.
    """
    shown, format = clean(call.parameters["extid"]), clean(call.parameters["format"])
    value = decoded(format, call.parameters["extid"])
    version = parameters.integer(call.query, "extid_version")
    found = query.extid(call.archive, clean(call.parameters["type"]), value, version, shown)
    return Data(_shape(call, found, format))


def extid_target(call: Call) -> Data:
    """The identifiers that other systems have for an object.

    ``extid_type`` and ``extid_version``, both or none, narrow the answer to one type and version; ``extid_format`` is
    how identifiers are written: ``hex``, ``base64url`` (without padding) or ``raw`` (ASCII).

    Answers with an array, never empty. 400 for a malformed SWHID or parameter, 404 if no identifier is known.
    """
    target = parameters.swhid_core(call.parameters["swhid"], fold=True)
    type, version = call.query.get("extid_type"), call.query.get("extid_version")
    if (type is None) != (version is None):
        raise BadInput("Both extid_type and extid_version query parameters must be provided")
    number = parameters.integer(call.query, "extid_version")
    format = clean(call.query.get("extid_format", "hex"))
    _check(format)
    found = query.extids_of(call.archive, target, None if type is None else clean(type), number)
    return Data([_shape(call, one, format) for one in found])


def decoded(format: str, text: str) -> bytes:
    """The bytes of an identifier written in a format. Raises ``BadInput``."""
    _check(format)
    try:
        if format == "hex":
            return binascii.unhexlify(text)
        if format == "base64url":
            return from_base64url(text.rstrip("="))
        return text.encode("ascii")
    except ValueError:
        raise BadInput(f"Invalid external identifier of format {format}: {clean(text)}") from None


def encoded(format: str, value: bytes) -> str:
    """An identifier written in a format. Raises ``BadInput`` for ``raw`` where it is not ASCII."""
    if format == "hex":
        return value.hex()
    if format == "base64url":
        return to_base64url(value)
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise BadInput(
            f"The external identifier {value.hex()} is not ASCII: ask for the format hex or base64url"
        ) from None


def _check(format: str) -> None:
    if format not in FORMATS:
        raise BadInput(f"Invalid external identifier format: {format}")


def _shape(call: Call, one: ExtId, format: str) -> dict[str, object]:
    url = call.links.to("swhid", swhid=str(one.target))
    return {
        "extid": encoded(format, one.value),
        "extid_type": one.type,
        "extid_version": one.version,
        "target": str(one.target),
        **({} if url is None else {"target_url": url}),
    }


_EXTID = {"$ref": "#/components/schemas/ExtId"}
_VERSION = Parameter("extid_version", "Version of the type.", {"type": "integer"})

ROUTES = (
    Route(
        "extid-target",
        "extid/target/{swhid:swhid}/",
        extid_target,
        category="Identifiers",
        query=(
            Parameter("extid_type", "Only identifiers of this type; needs extid_version."),
            _VERSION,
            Parameter(
                "extid_format",
                "How identifiers are written.",
                {"type": "string", "enum": list(FORMATS), "default": "hex"},
            ),
        ),
        answer={"type": "array", "items": _EXTID},
    ),
    Route(
        "extid",
        "extid/{type:segment}/{format:notation}:{extid:extid}/",
        extid,
        category="Identifiers",
        query=(_VERSION,),
        answer=_EXTID,
    ),
)
