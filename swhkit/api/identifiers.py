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
from swhkit.api.routing import Route
from swhkit.swhid import Kind, QualifiedSwhid

KNOWN_MAX = 1000


def resolve(call: Call) -> Data:
    """What a SWHID names, with the page that shows it."""
    swhid = swhid_qualified(call.parameters["swhid"])
    query.resolve(call.archive, swhid)
    return Data(shapes.resolved(swhid, browse_url(call.links, swhid)))


def browse_url(links: Links, swhid: QualifiedSwhid) -> str | None:
    """The page of an object in its context; None where no pages are served (no route is named ``browse``)."""
    if "browse" not in links.templates:
        return None
    shown = swhid.core
    if swhid.anchor is not None and swhid.anchor.kind is Kind.REVISION and swhid.path is not None:
        shown = swhid.anchor
    path = shapes.text(swhid.path or b"").strip("/")
    pairs = {"origin_url": swhid.origin, "path": path, "snapshot": swhid.visit and swhid.visit.hex}
    arguments = "&".join(f"{name}={quote(value, safe='/:')}" for name, value in pairs.items() if value)
    id = f"sha1_git:{shown.hex}" if shown.kind is Kind.CONTENT else shown.hex
    lines = ""
    if swhid.lines is not None and swhid.core.kind is Kind.CONTENT:
        lines = "#" + "-".join(f"L{line}" for line in swhid.lines if line is not None)
    return f"{links.base}/browse/{shown.kind.word}/{id}/" + (f"?{arguments}" if arguments else "") + lines


def known(call: Call) -> Data:
    """Which of up to 1000 core SWHIDs are held."""
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
    """The bytes whose SHA-1 a SWHID is: git's header and the manifest."""
    id = swhid_core(call.parameters["swhid"], fold=True)
    length, pieces = query.raw_manifest(call.archive, id)
    return Blob(length, pieces, f"attachment; filename={str(id).replace(':', '_')}_raw")


ROUTES = (
    Route("resolve", "resolve/{swhid:swhid}/", resolve),
    Route("known", "known/", known, methods=("POST",)),
    Route("raw", "raw/{swhid:swhid}/", raw, binary=True),
)
