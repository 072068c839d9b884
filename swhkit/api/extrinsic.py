"""``raw-extrinsic-metadata/``: what others say about objects and origins, as they said it."""

from __future__ import annotations

import datetime
import re

from swhkit import query
from swhkit.api.answers import Blob, Data, Redirect
from swhkit.api.calls import Call
from swhkit.api.errors import BadInput, ValidationError, clean
from swhkit.api.parameters import from_base64url, origin_urls, soft_integer, to_base64url
from swhkit.api.routing import Parameter, Route
from swhkit.errors import InvalidSwhid
from swhkit.escapes import escaped
from swhkit.manifest import origin_digest
from swhkit.model import ExtrinsicMetadata
from swhkit.query import Pieces, Position
from swhkit.swhid import Kind, ObjectId, parse_extended

LIMIT, LIMIT_MAX = 100, 10_000
AUTHORITIES = ("deposit_client", "forge", "registry")
_FILE_NAME = re.compile(r"[a-zA-Z0-9:._-]+")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_WRONG_DATE = (
    "Datetime has wrong format. Use one of these formats instead: "
    "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)


def listing(call: Call) -> Data:
    """What an authority has said about an object.

    The target is a core SWHID, or one of an origin (``ori``) or of metadata (``emd``). ``authority`` is required: type
    (``deposit_client``, ``forge``, ``registry``), a space, URL. ``after`` (ISO 8601) leaves out what was known by then;
    ``limit`` and ``page_token`` go through the pages, of which the ``Link`` header names the next.

    Answers with an array in the order of discovery, empty for unknown targets. The metadata itself is at
    ``metadata_url``. 400 for a malformed target or parameter.
    """
    target = _target(call)
    authority = _authority(call.query.get("authority"))
    after, limit = _after(call), soft_integer(call.query, "limit", LIMIT, 1, LIMIT_MAX)
    token = call.query.get("page_token")
    start = _position(token) if token is not None else None if after is None else (after, None)
    found = query.extrinsic_metadata(call.archive, target, authority, start, limit)
    name = f"{target if found.url is None else re.sub('[:/_.]+', '_', found.url)}_metadata"
    following = None
    if found.more:
        following = call.link(
            "raw-extrinsic-metadata-swhid",
            {"target": str(target)},
            authority=" ".join(authority),
            after=None if after is None else after.isoformat(),
            limit=limit,
            page_token=_token(*found.records[-1]),
        )
    return Data([_shape(call, target, id, record, name) for id, record in found.records], following)


def authorities(call: Call) -> Data:
    """Who has said something about an object.

    The target is a core SWHID, or one of an origin (``ori``) or of metadata (``emd``). Answers with an array, empty for
    unknown targets; ``metadata_list_url`` leads to what each has said. 400 for a malformed target.
    """
    target = _target(call)
    return Data([_authority_shape(call, target, *one) for one in query.authorities(call.archive, target)])


def origin_authorities(call: Call) -> Redirect:
    """Who has said something about an origin.

    Leads on (302) to the authorities of the origin's SWHID, which is the SHA-1 of its URL.
    """
    url = query.known_url(call.archive, origin_urls(call.parameters["url"]))
    target = ObjectId(Kind.ORIGIN, origin_digest(url))
    template = call.links.templates["raw-extrinsic-metadata-authorities"]
    return Redirect(template.format(target=target))


def download(call: Call) -> Blob:
    """Metadata itself, as it was received.

    ``filename``, of letters, digits and ``:._-``, is the name to save it under. 404 if there is none with this id.
    """
    id = clean(call.parameters["id"]).lower()
    digest = bytes.fromhex(id) if re.fullmatch(r"[0-9a-f]{40}", id) else b""
    data = query.extrinsic_bytes(call.archive, digest)
    name = call.query.get("filename", "")
    named = f'attachment; filename="{name}"' if _FILE_NAME.fullmatch(name) else "attachment"
    return Blob(len(data), Pieces(iter((data,))), named, etag=id)


def _target(call: Call) -> ObjectId:
    text = clean(call.parameters["target"])
    core, semicolon, rest = text.partition(";")
    try:
        return parse_extended(core.lower() + semicolon + rest)
    except InvalidSwhid as error:
        raise BadInput(f"Invalid target SWHID: {error}") from None


def _authority(text: str | None) -> tuple[str, str]:
    if text is None:
        raise ValidationError("authority", "This field is required.")
    type, space, url = clean(text).strip().partition(" ")
    if not space:
        raise ValidationError("authority", "The 'authority' query parameter must contain a space.")
    if type not in AUTHORITIES:
        raise ValidationError("authority", f"Invalid type {type}, must be one of: {', '.join(AUTHORITIES)}")
    return type, url


def _after(call: Call) -> datetime.datetime | None:
    text = call.query.get("after")
    if text is None:
        return None
    try:
        # A plus sign that was not percent-encoded has come as a space.
        date = datetime.datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", text.strip()))
        return (date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)).astimezone(
            datetime.UTC
        )
    except (ValueError, OverflowError):
        raise ValidationError("after", _WRONG_DATE) from None


def _token(id: bytes, record: ExtrinsicMetadata) -> str:
    """Where the next page begins: microseconds since 1970 and the id of the last record shown."""
    moment = (record.discovery_date - _EPOCH) // datetime.timedelta(microseconds=1)
    return to_base64url(moment.to_bytes(8, "big", signed=True) + id)


def _position(token: str) -> Position:
    try:
        data = from_base64url(token)
        if len(data) != 28:
            raise ValueError
        date = _EPOCH + datetime.timedelta(microseconds=int.from_bytes(data[:8], "big", signed=True))
        return date, data[8:]
    except (ValueError, OverflowError):
        raise BadInput("Invalid page_token: take it from the Link header of the page before.") from None


def _shape(
    call: Call, target: ObjectId, id: bytes, record: ExtrinsicMetadata, name: str
) -> dict[str, object]:
    context = {
        "origin": record.origin,
        "visit": record.visit,
        "snapshot": record.snapshot,
        "release": record.release,
        "revision": record.revision,
        "path": None if record.path is None else escaped(record.path),
        "directory": record.directory,
    }
    parameters = {"id": id.hex()}
    return {
        **({} if target.kind is Kind.ORIGIN else {"target": str(target)}),
        "discovery_date": record.discovery_date.astimezone(datetime.UTC).isoformat(),
        "authority": {"type": record.authority_type, "url": record.authority_url},
        "fetcher": {"name": record.fetcher_name, "version": record.fetcher_version},
        "format": record.format,
        "metadata_url": call.link("raw-extrinsic-metadata-get", parameters, filename=name),
        **{key: value for key, value in context.items() if value is not None},
    }


def _authority_shape(call: Call, target: ObjectId, type: str, url: str) -> dict[str, object]:
    where = call.link("raw-extrinsic-metadata-swhid", {"target": str(target)}, authority=f"{type} {url}")
    return {"type": type, "url": url, "metadata_list_url": where}


_LISTED = {"type": "array", "items": {"$ref": "#/components/schemas/ExtrinsicMetadata"}}
_AUTHORITIES = {"type": "array", "items": {"$ref": "#/components/schemas/ListedAuthority"}}
_LIMIT = {"type": "integer", "default": LIMIT}

ROUTES = (
    Route(
        "raw-extrinsic-metadata-authorities",
        "raw-extrinsic-metadata/swhid/{target:extended}/authorities/",
        authorities,
        category="Metadata",
        answer=_AUTHORITIES,
        refusals=(400,),
    ),
    Route(
        "raw-extrinsic-metadata-swhid",
        "raw-extrinsic-metadata/swhid/{target:extended}/",
        listing,
        category="Metadata",
        query=(
            Parameter(
                "authority", "Type (deposit_client, forge, registry), a space, and URL.", required=True
            ),
            Parameter(
                "after", "Only what was discovered after this.", {"type": "string", "format": "date-time"}
            ),
            Parameter("limit", f"Records a page, 1 to {LIMIT_MAX}; others are clamped.", _LIMIT),
            Parameter("page_token", "Where a page begins, from the Link header of the page before."),
        ),
        answer=_LISTED,
        refusals=(400,),
        paged=True,
    ),
    Route(
        "raw-extrinsic-metadata-origin-authorities",
        "raw-extrinsic-metadata/origin/{url:url}/authorities/",
        origin_authorities,
        category="Metadata",
        refusals=(),
        statuses=(302,),
    ),
    Route(
        "raw-extrinsic-metadata-get",
        "raw-extrinsic-metadata/get/{id:segment}/",
        download,
        binary=True,
        category="Metadata",
        query=(Parameter("filename", "Name to save it under: letters, digits and :._- only."),),
        answer={"type": "string", "format": "binary"},
        refusals=(404,),
    ),
)
