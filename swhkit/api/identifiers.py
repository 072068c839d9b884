"""SWHIDs: ``resolve/``, ``known/``, ``raw/``."""

from __future__ import annotations

from urllib.parse import quote

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Blob, Data
from swhkit.api.bodies import parsed
from swhkit.api.calls import Call, Links
from swhkit.api.errors import BadInput, LargePayload
from swhkit.api.parameters import swhid_core, swhid_qualified
from swhkit.api.pathtypes import TYPES
from swhkit.api.routing import Route
from swhkit.api.schemas import SWHID, array, ref
from swhkit.escapes import escaped
from swhkit.swhid import Kind, ObjectId, QualifiedSwhid

KNOWN_MAX = 1000


def resolve(call: Call) -> Data:
    """What a SWHID names, with the page that shows it.

    The SWHID may have the qualifiers origin, visit, anchor, path, lines and bytes; they come back in ``metadata``.
    What it names, and what its qualifiers name, must be held: else 404.
    """
    swhid = swhid_qualified(call.parameters["swhid"])
    query.resolve(call.archive, swhid)
    return Data(shapes.resolved(swhid, browse_url(call.links, swhid)))


def browse_url(links: Links, swhid: QualifiedSwhid) -> str | None:
    """The page of an object in its context; None where no pages are served (no route is named ``browse``)."""
    if "browse" not in links.templates:
        return None
    shown = _shown(swhid)
    pairs = {
        "origin_url": swhid.origin,
        "path": _path_shown(swhid),
        "revision": _revision_shown(swhid),
        "snapshot": swhid.visit and swhid.visit.hex,
    }
    arguments = "&".join(f"{name}={quote(value, safe='/:')}" for name, value in pairs.items() if value)
    id = f"sha1_git:{shown.hex}" if shown.kind is Kind.CONTENT else shown.hex
    lines = ""
    if swhid.lines is not None and swhid.core.kind is Kind.CONTENT:
        lines = "#" + "-".join(f"L{line}" for line in swhid.lines if line is not None)
    return f"{links.base}/browse/{shown.kind.word}/{id}/" + (f"?{arguments}" if arguments else "") + lines


def _shown(swhid: QualifiedSwhid) -> ObjectId:
    """Which object's page it is: a content or directory is seen from its anchor, unless a visit is named."""
    core, anchor = swhid.core, swhid.anchor
    if swhid.visit is not None or anchor is None or core.kind not in (Kind.CONTENT, Kind.DIRECTORY):
        return core
    rooted = core.kind is Kind.DIRECTORY and anchor.kind is Kind.DIRECTORY
    return anchor if rooted or anchor.kind is Kind.REVISION else core


def _revision_shown(swhid: QualifiedSwhid) -> str | None:
    anchor = swhid.anchor
    if swhid.visit is None or anchor is None or anchor.kind is not Kind.REVISION:
        return None
    return None if swhid.core.kind is Kind.REVISION else anchor.hex


def _path_shown(swhid: QualifiedSwhid) -> str:
    path = escaped(swhid.path or b"").strip("/")
    anchor = swhid.anchor
    rooted = swhid.core.kind is Kind.CONTENT and anchor is not None and anchor.kind is Kind.DIRECTORY
    # A page of a content has its root directory before the path.
    return f"{anchor.hex}/{path}" if path and anchor is not None and rooted else path


def known(call: Call) -> Data:
    """Which of up to 1000 core SWHIDs are held.

    The body is a JSON array of SWHIDs without qualifiers; the answer has a key for each of them. One that is not
    valid refuses all.
    """
    texts = parsed(call.body)
    if texts == {}:
        texts = []
    if not isinstance(texts, list):
        raise BadInput("The body must be an array of SWHIDs.")
    if len(texts) > KNOWN_MAX:
        raise LargePayload(f"The maximum number of SWHIDs this endpoint can receive is {KNOWN_MAX}")
    asked = {swhid_core(text if isinstance(text, str) else repr(text)) for text in texts}
    held = query.known(call.archive, asked)
    # In the order that was asked.
    return Data({text: {"known": swhid_core(text) in held} for text in texts})


def raw(call: Call) -> Blob:
    """The bytes whose SHA-1 a SWHID is: git's header and the manifest.

    Who hashes them has proof that they are what was asked for.
    """
    id = swhid_core(call.parameters["swhid"], fold=True)
    length, pieces = query.raw_manifest(call.archive, id)
    return Blob(length, pieces, f"attachment; filename={str(id).replace(':', '_')}_raw", id.hex)


ROUTES = (
    Route("resolve", "resolve/{swhid:path}/", resolve, category="Identifiers", answer=ref("Resolved")),
    Route(
        "known",
        "known/",
        known,
        methods=("POST",),
        category="Identifiers",
        answer=ref("Known"),
        body=array(SWHID, maxItems=KNOWN_MAX, examples=[[TYPES["swhid"].example]]),
        refusals=(400, 413),
    ),
    Route(
        "raw",
        "raw/{swhid:swhid}/",
        raw,
        binary=True,
        category="Identifiers",
        scope="swh_raw_object",
        about={"swhid": "A SWHID without qualifiers."},
    ),
)
