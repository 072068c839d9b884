"""JSON schemas of what the web API answers (https://json-schema.org/draft/2020-12), as components of its OpenAPI document.

A route names them by ``ref("Revision")``. They are exact: every key that can occur is named, nothing else may come.
With ``?fields=`` an answer has fewer keys than its schema requires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from swhkit.saving import BULK_TYPES, TYPES

Schema = Mapping[str, object]


def ref(name: str) -> Schema:
    """The schema ``name`` of ``COMPONENTS``."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **more: object) -> Schema:
    """A list of ``items``."""
    return {"type": "array", "items": items, **more}


def nullable(schema: Schema) -> Schema:
    """``schema`` or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def record(
    summary: str, required: Mapping[str, Schema], optional: Mapping[str, Schema] = MappingProxyType({})
) -> Schema:
    """An object with exactly these keys."""
    return {
        "type": "object",
        "description": summary,
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def mapping(values: Schema, **more: object) -> Schema:
    """An object whose keys are data."""
    return {"type": "object", "additionalProperties": values, **more}


def said(schema: Schema, summary: str) -> Schema:
    """``schema`` with a description."""
    return {**schema, "description": summary}


def choice(words: Sequence[str]) -> Schema:
    """One of some words."""
    return {"type": "string", "enum": list(words)}


TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NATURAL: Schema = {"type": "integer", "minimum": 0}
BOOLEAN: Schema = {"type": "boolean"}
#: A boolean in a query string; any case is taken.
FLAG: Schema = {
    "type": "string",
    "enum": ["true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"],
}
URL: Schema = {"type": "string", "format": "uri-reference"}
DATE: Schema = {"type": "string", "format": "date-time"}
ANY: Schema = {"type": "object"}
UUID: Schema = {"type": "string", "format": "uuid"}
ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
SWHID: Schema = {"type": "string", "pattern": "^swh:1:(cnt|dir|rev|rel|snp):[0-9a-f]{40}$"}
EXTENDED_SWHID: Schema = {"type": "string", "pattern": "^swh:1:(cnt|dir|rev|rel|snp|ori|emd):[0-9a-f]{40}$"}
OBJECT_TYPES = ("content", "directory", "revision", "release", "snapshot")
VISIT_STATUSES = ("created", "ongoing", "full", "partial", "not_found", "failed")
SAVE_STATUSES = ("pending", "accepted", "rejected")
TASK_STATUSES = ("not created", "pending", "scheduled", "running", "succeeded", "failed")
AUTHORITIES = ("deposit_client", "forge", "registry")
FAILURES = said(array(TEXT), "Keys whose bytes are not UTF-8; there they are written as \\xNN.")
_LONE = {"decoding_failures": FAILURES}
_ORIGIN_LINKS: dict[str, Schema] = {"origin_visits_url": URL, "metadata_authorities_url": URL}
_VISIT: dict[str, Schema] = {
    "origin": TEXT,
    "visit": INTEGER,
    "date": DATE,
    "type": TEXT,
    "status": choice(VISIT_STATUSES),
    "snapshot": nullable(ID),
    "snapshot_url": nullable(URL),
    "metadata": ANY,
}
_OLDER_VISIT: dict[str, Schema] = {**_VISIT, "id": INTEGER, "origin": INTEGER}

COMPONENTS: Mapping[str, Schema] = {
    "Content": record(
        "A content: the bytes of a file, without its name.",
        {
            "length": NATURAL,
            "status": choice(("visible", "absent")),
            "checksums": record(
                "Digests in hex.", {"sha1": ID, "sha1_git": ID, "sha256": DIGEST, "blake2s256": DIGEST}
            ),
            "data_url": URL,
            "swhid": SWHID,
        },
        {"filetype_url": URL, "language_url": URL, "license_url": URL},
    ),
    "KnownContents": record(
        "Which of the contents that were asked for are held.",
        {
            "search_res": nullable(
                array(record("One that was asked for.", {"sha1": ID, "found": BOOLEAN}, {"filename": TEXT}))
            ),
            "search_stats": record(
                "How many were asked for, and how many of a hundred are held.",
                {"nbfiles": NATURAL, "pct": {"type": "integer", "minimum": 0, "maximum": 100}},
            ),
        },
    ),
    "DirectoryEntry": record(
        "An entry of a directory.",
        {
            "dir_id": ID,
            "type": choice(("file", "dir", "rev")),
            "target": ID,
            "name": TEXT,
            "perms": NATURAL,
            "length": nullable(NATURAL),
            "target_url": URL,
        },
        {
            "status": choice(("visible", "absent")),
            "checksums": record("Digests in hex.", {"sha1": ID, "sha1_git": ID, "sha256": DIGEST}),
            # by origin, branch and time: where the path leads on
            **dict.fromkeys(("file_url", "dir_url", "rev_url"), URL),
            **_LONE,
        },
    ),
    "Person": record(
        "An author, committer or tagger.",
        {"fullname": TEXT, "name": nullable(TEXT), "email": nullable(TEXT)},
        {"id": INTEGER, **_LONE},
    ),
    "NumberedPerson": record(
        "A person by number.",
        {"id": INTEGER, "fullname": TEXT, "name": nullable(TEXT), "email": nullable(TEXT)},
        _LONE,
    ),
    "Revision": record(
        "A revision: a state of a directory in the history of a project.",
        {
            "id": ID,
            "type": TEXT,
            "message": nullable(TEXT),
            "author": nullable(ref("Person")),
            "committer": nullable(ref("Person")),
            "date": nullable(DATE),
            "committer_date": nullable(DATE),
            "directory": ID,
            "synthetic": BOOLEAN,
            "metadata": ANY,
            "extra_headers": array(array(TEXT, minItems=2, maxItems=2)),
            "parents": array(record("A parent.", {"id": ID, "url": URL})),
            "merge": BOOLEAN,
            "url": URL,
            "history_url": URL,
            "directory_url": URL,
        },
        {"author_url": URL, "committer_url": URL, "message_url": URL, "raw_manifest": TEXT, **_LONE},
    ),
    "InRevision": record(
        "What a path in the directory of a revision names.",
        {
            "type": choice(("dir", "file", "rev")),
            "path": TEXT,
            "revision": ID,
            "content": {
                "anyOf": [
                    array(ref("DirectoryEntry")),
                    ref("Content"),
                    ref("Revision"),
                    {"type": "null"},
                ]
            },
        },
    ),
    "Release": record(
        "A release: a name given to another object.",
        {
            "id": ID,
            "name": TEXT,
            "message": nullable(TEXT),
            "target": nullable(ID),
            "target_type": choice(OBJECT_TYPES),
            "author": nullable(ref("Person")),
            "date": nullable(DATE),
            "synthetic": BOOLEAN,
        },
        {"target_url": URL, "author_url": URL, "metadata": ANY, "raw_manifest": TEXT, **_LONE},
    ),
    "Branch": record(
        "A branch; the target of an alias is the name of another one.",
        {"target": TEXT, "target_type": choice((*OBJECT_TYPES, "alias"))},
        {"target_url": URL},
    ),
    "Snapshot": record(
        "A page of the branches of a snapshot; a dangling branch is null.",
        {"id": ID, "branches": mapping(nullable(ref("Branch"))), "next_branch": nullable(TEXT)},
    ),
    "Origin": record(
        "A place from which software was archived.",
        {"url": TEXT, "visit_types": array(TEXT)},
        _ORIGIN_LINKS,
    ),
    "FoundOrigin": record(
        "An origin that a search found.",
        {
            "url": TEXT,
            "visit_types": array(TEXT),
            "has_visits": BOOLEAN,
            "nb_visits": NATURAL,
            "snapshot_id": nullable(ID),
            "last_visit_date": nullable(DATE),
            "last_eventful_visit_date": nullable(DATE),
        },
        _ORIGIN_LINKS,
    ),
    "OlderOrigin": record(
        "An origin with its number and the type of its first visit, as older clients know it.",
        {"id": INTEGER, "type": nullable(TEXT), "url": TEXT, "visit_types": array(TEXT)},
        _ORIGIN_LINKS,
    ),
    "ListedVisit": record("A visit of an origin, in a list.", {**_VISIT, "origin_visit_url": URL}),
    "Visit": record("A visit of an origin.", {**_VISIT, "origin_url": URL}),
    "OlderListedVisit": record(
        "A visit of an origin by its number, in a list.", {**_OLDER_VISIT, "origin_visit_url": URL}
    ),
    "OlderVisit": record(
        "A visit of an origin by its number, with the branches that were found.",
        {**_OLDER_VISIT, "origin_url": URL, "occurrences": mapping(nullable(ref("Branch")))},
    ),
    "Resolved": record(
        "What a SWHID names.",
        {
            "namespace": choice(("swh",)),
            "scheme_version": {"type": "integer", "const": 1},
            "object_type": choice(OBJECT_TYPES),
            "object_id": ID,
            "metadata": said(mapping(TEXT), "The qualifiers that were given."),
            "browse_url": nullable(URL),
        },
    ),
    "Known": said(mapping(record("Whether an object is held.", {"known": BOOLEAN})), "By SWHID."),
    "ExtId": record(
        "An identifier of another system, and the object that it names.",
        {"extid": TEXT, "extid_type": TEXT, "extid_version": INTEGER, "target": SWHID},
        {"target_url": URL},
    ),
    "Authority": record("Who says something.", {"type": choice(AUTHORITIES), "url": TEXT}),
    "ListedAuthority": record(
        "An authority that has said something about an object.",
        {"type": choice(AUTHORITIES), "url": TEXT},
        {"metadata_list_url": URL},
    ),
    "Fetcher": record("The program that got it.", {"name": TEXT, "version": TEXT}),
    "ExtrinsicMetadata": record(
        "What an authority says about an object; the words themselves are at metadata_url.",
        {"discovery_date": DATE, "authority": ref("Authority"), "fetcher": ref("Fetcher"), "format": TEXT},
        {
            "target": EXTENDED_SWHID,
            "metadata_url": URL,
            "origin": TEXT,
            "visit": INTEGER,
            **dict.fromkeys(("snapshot", "release", "revision", "directory"), SWHID),
            "path": TEXT,
        },
    ),
    "Counters": record(
        "How many objects of each kind the archive holds.",
        dict.fromkeys(
            (
                *("content", "directory", "origin", "origin_visit", "person"),
                *("release", "revision", "skipped_content", "snapshot"),
            ),
            NATURAL,
        ),
    ),
    "Resource": record(
        "A resource in the index.",
        {
            **dict.fromkeys(("category", "docstring", "route", "route_view_name"), TEXT),
            "tags": array(TEXT),
            "doc_intro": TEXT,
        },
    ),
    "Index": record(
        "All documented resources: pairs of a category and the list of its resources.",
        {"doc_routes": array(array({"anyOf": [TEXT, array(ref("Resource"))]}, minItems=2, maxItems=2))},
    ),
    "SaveRequest": record(
        "A request to save an origin, and what became of it.",
        {
            "id": INTEGER,
            "origin_url": TEXT,
            **dict.fromkeys(("visit_type", "origin_type"), choice(tuple(TYPES))),
            "save_request_date": DATE,
            "save_request_status": choice(SAVE_STATUSES),
            "save_task_status": choice(TASK_STATUSES),
            "visit_status": nullable(choice(VISIT_STATUSES)),
            "visit_date": nullable(DATE),
            "loading_task_id": said(INTEGER, "-1 where there is no job."),
            "note": TEXT,
            "from_webhook": BOOLEAN,
            "webhook_origin": TEXT,
            "snapshot_swhid": nullable(SWHID),
            "request_url": URL,
        },
        {"snapshot_url": URL, "next_run": nullable(DATE)},
    ),
    "WebhookAnswer": record(
        "The request to save an origin that a delivery has led to.",
        {
            "id": INTEGER,
            "request_url": URL,
            "origin_url": TEXT,
            "visit_type": choice(tuple(TYPES)),
            "save_request_date": DATE,
            "save_request_status": choice(SAVE_STATUSES),
            "save_task_status": choice(TASK_STATUSES),
            "save_task_next_run": said(nullable(DATE), "null as long as no visit is to come."),
        },
    ),
    "Pong": record("The answer to a delivery that only tests the connection.", {"message": TEXT}),
    "BulkAccepted": record(
        "A bulk request that was accepted.",
        {"status": choice(("accepted",)), "request_id": UUID, "request_info_url": URL},
    ),
    "BulkRejected": record(
        "Why nothing of a bulk request was taken.",
        {"status": choice(("rejected",)), "reason": TEXT},
        {
            "rejected_origins": array(
                record("An origin that is refused.", {"origin": ANY, "rejection_reason": TEXT})
            )
        },
    ),
    "BulkRequest": record(
        "A bulk request.", {"request_id": UUID, "request_date": DATE, "request_info_url": URL}
    ),
    "BulkOrigin": record(
        "An origin of a bulk request, and what became of it.",
        {
            "origin_url": TEXT,
            "visit_type": choice(BULK_TYPES),
            "status": choice(SAVE_STATUSES),
            "last_scheduling_date": nullable(DATE),
            "last_visit_date": nullable(DATE),
            "last_visit_status": nullable(choice(("successful", "failed"))),
            "last_snapshot_swhid": nullable(SWHID),
            "rejection_reason": nullable(TEXT),
            "browse_url": nullable(URL),
        },
    ),
    "Error": record(
        "Why a request was refused.",
        {"exception": said(TEXT, "The class of the error; does not change."), "reason": TEXT},
        {"masked": mapping(array(ANY))},
    ),
    "ValidationError": record(
        "Which parameters do not validate, and why.",
        {"exception": choice(("ValidationError",)), "reason": mapping(array(TEXT))},
    ),
    "Sentence": said(TEXT, "What a person is told."),
    "Unrouted": record(
        "The answer where no resource is.", {"error": choice(("Resource not found",)), "reason": TEXT}
    ),
}
