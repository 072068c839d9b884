"""The types of parameters in paths: what they match, and how they are documented."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class PathType(msgspec.Struct, frozen=True):
    """A type of path parameters: what it matches, one line of ``summary``, its JSON ``schema`` (texts as they are
    documented, which may be narrower than what is matched), and an ``example``."""

    pattern: str
    summary: str
    schema: Mapping[str, object]
    example: str


_HEX40 = "94a9ed024d3859793618152ea559a168bbcbb5e2"
#: Types of path parameters. Ids match in any case, so that they can be redirected.
TYPES: dict[str, PathType] = {
    "content": PathType(
        # The look-behind does what a second repetition would, without its quadratic time.
        r"[0-9A-Za-z_:]+(?<=[0-9A-Fa-f])",
        "A digest of a content in hex: ALGORITHM:DIGEST with sha1, sha1_git, sha256 or blake2s256; "
        "without ALGORITHM 40 digits are a sha1, 64 a sha256.",
        {
            "type": "string",
            "pattern": "^((sha1:|sha1_git:)?[0-9a-f]{40}|(sha256:|blake2s256:)?[0-9a-f]{64})$",
        },
        "sha1_git:" + _HEX40,
    ),
    "hex": PathType(
        r"[0-9A-Fa-f]+",
        "The id of the object: 40 hex digits.",
        {"type": "string", "pattern": "^[0-9a-f]{40}$"},
        _HEX40,
    ),
    "swhid": PathType(
        r"(?:swh|SWH):[0-9]+:[A-Za-z]+:[0-9A-Fa-f]+(?:;.*)?",
        "A SWHID.",
        {"type": "string", "pattern": "^swh:1:(cnt|dir|rev|rel|snp):[0-9a-f]{40}(;.*)?$"},
        "swh:1:cnt:" + _HEX40,
    ),
    "number": PathType(
        r"[0-9]+", "A number.", {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}, "1"
    ),
    "url": PathType(
        r".+", "The URL of an origin.", {"type": "string", "minLength": 1}, "https://git.example.org/u/p"
    ),
    "path": PathType(r".+", "A path below the directory.", {"type": "string", "minLength": 1}, "src/main.c"),
    "hashes": PathType(
        r"[^/]*",
        "Sha1s in hex, separated by commas.",
        {"type": "string", "pattern": "^[0-9a-f]{40}(,[0-9a-f]{40})*$"},
        _HEX40,
    ),
    "kind": PathType(
        r"[a-z]+",
        "The type of the object.",
        {"type": "string", "enum": ["content", "directory", "revision", "release", "snapshot"]},
        "directory",
    ),
    "loose": PathType(
        r"[^/]+",
        "The id of the object: 40 hex digits.",
        {"type": "string", "pattern": "^[0-9a-f]{40}$"},
        _HEX40,
    ),
    "extended": PathType(
        r"(?:swh|SWH):[0-9]+:[A-Za-z]+:[0-9A-Fa-f]+(?:;.*)?",
        "A SWHID without qualifiers; it may be of an origin (ori) or of metadata (emd).",
        {"type": "string", "pattern": "^swh:1:(cnt|dir|rev|rel|snp|ori|emd):[0-9a-f]{40}$"},
        "swh:1:ori:" + _HEX40,
    ),
    "segment": PathType(r"[^/]+", "A word.", {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"}, "hg-nodeid"),
    "notation": PathType(
        r"[^/:]+",
        "How the identifier is written.",
        {"type": "string", "enum": ["hex", "base64url", "raw"]},
        "hex",
    ),
    "extid": PathType(
        r".+", "The identifier.", {"type": "string", "pattern": "^([0-9a-f][0-9a-f])+$"}, _HEX40
    ),
    "word": PathType(
        r"[a-z][a-z0-9_-]*", "A name.", {"type": "string", "pattern": "^[a-z][a-z0-9_-]*$"}, "github"
    ),
    "pattern": PathType(
        r".*", "Words separated by spaces, or nothing.", {"type": "string"}, "example.org git"
    ),
    # Words that other resources begin with are no URLs and no types of visits.
    "origin": PathType(
        r"(?!(?:save|metadata-search)/).+",
        "The URL of an origin.",
        {"type": "string", "minLength": 1},
        "https://git.example.org/u/p",
    ),
    "typed_url": PathType(
        r".+(?<!/intrinsic-metadata)",
        "The URL of an origin.",
        {"type": "string", "minLength": 1},
        "https://git.example.org/u/p",
    ),
    "visit_type": PathType(
        r"(?!(?:save|search)/)[a-z]+",
        "A type of visits.",
        {"type": "string", "pattern": "^[a-z]+$"},
        "git",
    ),
    # As short as can be: what follows may have "/url/" in it.
    "save_type": PathType(
        r".+?",
        "A type of visits.",
        {"type": "string", "enum": ["archives", "bzr", "cvs", "git", "hg", "svn", "tarball"]},
        "git",
    ),
    "uuid": PathType(
        r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
        "The id of a request.",
        {"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        "5d5e6ba1-a8de-4e5c-a6d6-3c1ea5cbf3a2",
    ),
    "hexes": PathType(
        r"[0-9A-Fa-f]+(?:/[0-9A-Fa-f]+)*",
        "Ids of revisions, separated by slashes.",
        {"type": "string", "pattern": "^[0-9a-f]{40}(/[0-9a-f]{40})*$"},
        _HEX40,
    ),
    "branch": PathType(
        r"(?:(?!/ts/|/directory/).)+?",
        "The name of a branch, which may have slashes.",
        {"type": "string", "minLength": 1},
        "refs/heads/main",
    ),
    "moment": PathType(
        r"[^/]+",
        "An ISO 8601 date or moment, or seconds since 1970.",
        {"type": "string", "minLength": 1},
        "2024-02-29T12:00:00+00:00",
    ),
}
