"""Model objects to the bytes that are hashed, and back, without losing a byte.

The body of an object is what git (and, for snapshots and extrinsic metadata, Software Heritage) hashes after the
header ``TYPE SP LENGTH NUL`` (ISO/IEC 18670, section 5). ``encode(parse(kind, body)) == body`` for every body that
can be parsed: where the fields do not give the bytes back, the object carries them whole as ``raw_manifest``.
``InvalidManifest`` is raised only where git itself could not follow the object: a commit that does not begin with a
tree, a tag that does not begin with an object and its type, a tree that is cut short or has an unreadable mode.

Nothing here recurses, and everything is linear in the length of the body.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from swhkit.errors import InvalidManifest
from swhkit.hashes import git_digest, git_header
from swhkit.model import (
    Branch,
    BranchType,
    Directory,
    Entry,
    ExtrinsicMetadata,
    ObjectMetadata,
    Person,
    Release,
    Revision,
    Snapshot,
    Timestamp,
)
from swhkit.swhid import Kind, ObjectId

Manifested = Directory | Revision | Release | Snapshot
Header = tuple[bytes, bytes]

#: The seconds a timestamp may have (years 1 to 9999); beyond it the fields say 0 and the raw manifest is kept.
SECONDS_MIN, SECONDS_MAX = -62135510961, 253402297199

_HEX = rb"[0-9a-fA-F]{40}"
_COMMIT = re.compile(rb"tree (%s)\n((?:parent %s\n)*)" % (_HEX, _HEX))
_TAG = re.compile(rb"object (%s)\ntype (blob|tree|commit|tag|refs)\n" % _HEX)
_PARENT_LENGTH = len("parent ") + 40 + len("\n")
_TAG_TYPES = {
    b"blob": Kind.CONTENT,
    b"tree": Kind.DIRECTORY,
    b"commit": Kind.REVISION,
    b"tag": Kind.RELEASE,
    b"refs": Kind.SNAPSHOT,
}
_TAG_WORDS = {kind: word for word, kind in _TAG_TYPES.items()}
#: What may follow a person, as it is written by everybody who follows the rules …
_DATE = re.compile(rb" (-?[0-9]{1,20})(?:\.([0-9]{1,6}))? ([+-]{1,2}[0-9]+)\Z")
#: … and what is still understood after a ``>``.
_LOOSE_DATE = re.compile(rb"\s*([+-]?[0-9]+)(?:\.([0-9]{1,6}))?\s* ([+-]{1,2}[0-9]+)\Z")
_BRANCH_TYPE = re.compile(rb"(alias|content|dangling|directory|release|revision|snapshot) ")
_TARGET_LENGTH = {
    **{kind.value: re.compile(rb"\0(20):") for kind in BranchType},
    "alias": re.compile(rb"\0([0-9]{1,9}):"),
    "dangling": re.compile(rb"\0(0):"),
}
_OCTAL = re.compile(rb"[0-7]+")
_MODE_MAX = 0xFFFFFFFF


def encode(obj: Manifested) -> bytes:
    """The body of an object, without header. Raises ``InvalidManifest`` if it has none (see ``encode_snapshot``)."""
    if isinstance(obj, Snapshot):
        return encode_snapshot(obj)
    if obj.raw_manifest is not None:
        header, _, body = obj.raw_manifest.partition(b"\0")
        if header != f"{_KINDS[type(obj)].git} {len(body)}".encode():
            raise InvalidManifest(f"a raw manifest begins with {header[:30]!r}, which is not its header")
        return body
    if isinstance(obj, Directory):
        return _encode_entries(sorted(obj.entries, key=_entry_key))
    return _encode_revision(obj) if isinstance(obj, Revision) else _encode_release(obj)


def object_id(obj: Manifested) -> ObjectId:
    """The id of an object. Raises ``InvalidManifest`` as ``encode`` does."""
    kind = _KINDS[type(obj)]
    if not isinstance(obj, Snapshot) and obj.raw_manifest is not None:
        return ObjectId(kind, hashlib.sha1(obj.raw_manifest).digest())
    return ObjectId(kind, git_digest(kind.git, encode(obj)))


def parse(id: ObjectId | Kind, body: bytes) -> Directory | Revision | Release:
    """The object that ``body`` holds, so that ``encode`` gives ``body`` again. The digest is not verified here.

    Raises ``InvalidManifest`` where git could not follow the object, and for kinds that are not dir, rev or rel.
    """
    kind = id.kind if isinstance(id, ObjectId) else id
    try:
        parser = _PARSERS[kind]
    except KeyError:
        raise InvalidManifest(
            f"{id}: a {kind.word} is not read as a directory, revision or release"
        ) from None
    try:
        return parser(body)
    except InvalidManifest as error:
        raise InvalidManifest(f"{id}: {error}") if isinstance(id, ObjectId) else error from None


def with_metadata(obj: Revision | Release, row: ObjectMetadata | None) -> Revision | Release:
    """``obj`` with what is known of it beyond its bytes; unchanged without a row.

    Revisions of other systems than git keep their extra headers in the order they were written.
    """
    if row is None:
        return obj
    if isinstance(obj, Release):
        return msgspec.structs.replace(obj, synthetic=row.synthetic, metadata=row.metadata)
    kind = row.revision_type or obj.type
    if kind != "git" and obj.raw_manifest is not None:
        obj = _parse_revision(encode(obj), git_order=False)
    return msgspec.structs.replace(obj, type=kind, synthetic=row.synthetic, metadata=row.metadata)


# -- directories -------------------------------------------------------------------------------------------------


def parse_directory(body: bytes) -> Directory:
    """A tree. Entries are in canonical order; a ``/`` in a name reads ``_``; ``raw_manifest`` where that is not all.

    Raises ``InvalidManifest`` if the bytes are cut short or a mode is no octal number of 32 bits.
    """
    entries: list[Entry] = []
    canonical = True
    for mode, perms, name, target in _entries(body):
        if b"/" in name:
            name, canonical = name.replace(b"/", b"_"), False
        if mode.startswith(b"0") and mode != b"0":
            canonical = False
        entries.append(Entry(name, _entry_type(perms), target, perms))
    keys = [_entry_key(entry) for entry in entries]
    if any(map(bytes.__ge__, keys, keys[1:])) or len({entry.name for entry in entries}) != len(entries):
        canonical = False
        entries.sort(key=_entry_key)
    return Directory(tuple(entries), None if canonical else git_header("tree", len(body)) + body)


def _entries(body: bytes) -> Iterator[tuple[bytes, int, bytes, bytes]]:
    """(mode as written, mode, name, target) of each entry of a tree."""
    modes: dict[bytes, int] = {}
    find, position, end = body.find, 0, len(body)
    while position < end:
        space = find(b" ", position)
        mode = body[position : max(space, position)]
        perms = modes.get(mode)
        if perms is None:
            perms = modes[mode] = _parse_mode(mode)
        zero = find(b"\0", space)
        position = zero + 21
        if zero < 0 or position > end:
            raise InvalidManifest("the tree is cut short")
        yield mode, perms, body[space + 1 : zero], body[zero + 1 : position]


def _parse_mode(mode: bytes) -> int:
    if not _OCTAL.fullmatch(mode) or (value := int(mode, 8)) > _MODE_MAX:
        raise InvalidManifest(f"the tree has an entry whose mode is {mode[:20]!r}")
    return value


def _entry_type(perms: int) -> str:
    if perms & 0o160000 == 0o160000:
        return "rev"
    return "dir" if perms & 0o40000 else "file"


def _entry_key(entry: Entry) -> bytes:
    """What git sorts by: a directory's name compares as if it ended in a slash."""
    return entry.name + b"/" if entry.type == "dir" else entry.name


def _encode_entries(entries: Iterable[Entry]) -> bytes:
    return b"".join([b"%o %s\0%s" % (entry.perms, entry.name, entry.target) for entry in entries])


# -- revisions and releases --------------------------------------------------------------------------------------


def parse_revision(body: bytes) -> Revision:
    """A commit; type, synthetic and metadata are those of plain git (see ``with_metadata``).

    Extra headers come in the order the Software Heritage git loader gives them: encoding, mergetags, others, gpgsig.
    Raises ``InvalidManifest`` if it does not begin with a tree.
    """
    return _parse_revision(body, git_order=True)


def _parse_revision(body: bytes, git_order: bool) -> Revision:
    tree, parents, position = _commit_head(body)
    headers, message = _split(body, position)
    author, committer = _take(headers, b"author"), _take(headers, b"committer")
    author_person, date = (None, None) if author is None else _parse_person(author)
    committer_person, committer_date = (None, None) if committer is None else _parse_person(committer)
    revision = Revision(
        message=message,
        author=author_person,
        committer=committer_person,
        date=date,
        committer_date=committer_date,
        directory=tree,
        parents=parents,
        extra_headers=_git_order(headers) if git_order else tuple(headers),
    )
    if _encode_revision(revision) == body:
        return revision
    return msgspec.structs.replace(revision, raw_manifest=git_header("commit", len(body)) + body)


def parse_release(body: bytes) -> Release:
    """An annotated tag; the message includes a signature at its end.

    Raises ``InvalidManifest`` if it does not begin with an object and its type.
    """
    target, target_type, position = _tag_head(body)
    headers, message = _split(body, position)
    tagger = _take(headers, b"tagger")
    author, date = (None, None) if tagger is None else _parse_person(tagger)
    name = _take(headers, b"tag") or b""
    release = Release(
        name=name, message=message, target=target, target_type=target_type, author=author, date=date
    )
    if _encode_release(release) == body:
        return release
    return msgspec.structs.replace(release, raw_manifest=git_header("tag", len(body)) + body)


def _commit_head(body: bytes) -> tuple[bytes, tuple[bytes, ...], int]:
    """Tree, parents, and where the next header begins. As git does: the tree first, the parents right after it."""
    match = _COMMIT.match(body)
    if match is None:
        raise InvalidManifest("the commit does not begin with a tree")
    lines = match[2]
    starts = range(len("parent "), len(lines), _PARENT_LENGTH)
    parents = tuple([bytes.fromhex(lines[start : start + 40].decode("ascii")) for start in starts])
    return bytes.fromhex(match[1].decode("ascii")), parents, match.end()


def _tag_head(body: bytes) -> tuple[bytes, Kind, int]:
    match = _TAG.match(body)
    if match is None:
        raise InvalidManifest("the tag does not begin with an object and its type")
    return bytes.fromhex(match[1].decode("ascii")), _TAG_TYPES[match[2]], match.end()


def _split(body: bytes, position: int) -> tuple[list[Header], bytes | None]:
    """The headers from ``position`` (continued lines joined) and the message, None without an empty line.

    A header without a value has an empty one; a first line that begins with a blank has an empty name.
    """
    # The newline before ``position`` belongs to the search: it may be followed at once by the empty line.
    end = body.find(b"\n\n", position - 1)
    message = None if end < 0 else body[end + 2 :]
    block = body[position:] if end < 0 else body[position : max(end, position)]
    if not block:
        return [], message
    headers: list[Header] = []
    name, lines = b"", list[bytes]()
    for number, line in enumerate(block.removesuffix(b"\n").split(b"\n")):
        if number and line.startswith(b" "):
            lines.append(line[1:])
            continue
        if number:
            headers.append((name, b"\n".join(lines)))
        name, _, value = line.partition(b" ")
        lines = [value]
    headers.append((name, b"\n".join(lines)))
    return headers, message


def _take(headers: list[Header], name: bytes) -> bytes | None:
    """Remove the first header of that name and return its value."""
    for index, (key, value) in enumerate(headers):
        if key == name:
            del headers[index]
            return value
    return None


def _git_order(headers: list[Header]) -> tuple[Header, ...]:
    """Extra headers as the Software Heritage git loader gives them: the first encoding, several gpgsigs as one."""
    encodings: list[Header] = []
    mergetags: list[Header] = []
    others: list[Header] = []
    signatures: list[Header] = []
    places = {b"encoding": encodings, b"mergetag": mergetags, b"gpgsig": signatures}
    for header in headers:
        places.get(header[0], others).append(header)
    signature = [(b"gpgsig", b"\n".join(value for _, value in signatures))] if signatures else []
    return (*encodings[:1], *mergetags, *others, *signature)


def _encode_revision(revision: Revision) -> bytes:
    headers: list[Header] = [(b"tree", revision.directory.hex().encode())]
    headers += [(b"parent", parent.hex().encode()) for parent in revision.parents]
    if revision.author is not None:
        headers.append((b"author", _encode_person(revision.author, revision.date)))
    if revision.committer is not None:
        headers.append((b"committer", _encode_person(revision.committer, revision.committer_date)))
    headers += revision.extra_headers
    return _join(headers, revision.message)


def _encode_release(release: Release) -> bytes:
    if release.target is None or release.target_type not in _TAG_WORDS:
        raise InvalidManifest(f"release {release.name[:100]!r} has no target, so there is no id for it")
    headers = [
        (b"object", release.target.hex().encode()),
        (b"type", _TAG_WORDS[release.target_type]),
        (b"tag", release.name),
    ]
    if release.author is not None:
        headers.append((b"tagger", _encode_person(release.author, release.date)))
    return _join(headers, release.message)


def _join(headers: Iterable[Header], message: bytes | None) -> bytes:
    lines = [b"%s %s\n" % (key, value.replace(b"\n", b"\n ")) for key, value in headers]
    if message is not None:
        lines += [b"\n", message]
    return b"".join(lines)


# -- persons and dates -------------------------------------------------------------------------------------------


def person_of(fullname: bytes) -> Person:
    """The person of a fullname: name before the first ``<``, email from there to the last ``>``; empty is None."""
    before, bracket, after = fullname.partition(b"<")
    name = before.strip() if bracket else fullname
    email, closing, _ = after.rpartition(b">")
    return Person(fullname, name or None, (email if closing else after) or None)


def fullnames(kind: Kind, body: bytes) -> list[bytes]:
    """Author and committer of a commit, tagger of a tag, as ``parse`` reads them; empty for other kinds.

    Raises ``InvalidManifest`` as ``parse`` does.
    """
    if kind not in (Kind.REVISION, Kind.RELEASE):
        return []
    position = _commit_head(body)[-1] if kind is Kind.REVISION else _tag_head(body)[-1]
    headers, _ = _split(body, position)
    names = (b"author", b"committer") if kind is Kind.REVISION else (b"tagger",)
    lines = [_take(headers, name) for name in names]
    return [_split_date(line)[0] for line in lines if line is not None]


def _parse_person(line: bytes) -> tuple[Person, Timestamp | None]:
    fullname, date = _split_date(line)
    return person_of(fullname), date


def _split_date(line: bytes) -> tuple[bytes, Timestamp | None]:
    """Fullname and moment of an author, committer or tagger line.

    What follows the last ``> `` may be written in odd ways (``+15``, ``015``, doubled blanks); without it only a
    regular moment is seen. What cannot be read as a moment after ``> `` is left out: the raw manifest has it.
    """
    closing = line.rfind(b"> ")
    if closing >= 0 and (match := _LOOSE_DATE.match(line, closing + 2)):
        return line[: closing + 1], _timestamp(match)
    tail = max(len(line) - 80, 0)
    if match := _DATE.search(line, tail):
        return line[: match.start()], _timestamp(match)
    return (line if closing < 0 else line[: closing + 1]), None


def _timestamp(match: re.Match[bytes]) -> Timestamp:
    digits, fraction, offset = match[1], match[2] or b"", match[3]
    seconds = int(digits) if len(digits) <= 40 else SECONDS_MAX + 1
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        return Timestamp(0, 0, offset)
    return Timestamp(seconds, int(fraction.ljust(6, b"0")), offset)


def _encode_person(person: Person, date: Timestamp | None) -> bytes:
    if date is None:
        return person.fullname
    fraction = b".%06d" % date.microseconds if date.microseconds else b""
    return b"%s %d%s %s" % (person.fullname, date.seconds, fraction.rstrip(b"0"), date.offset)


# -- snapshots ---------------------------------------------------------------------------------------------------


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The body of a snapshot. Raises ``InvalidManifest`` if an alias names itself or a branch that is not there."""
    parts: list[bytes] = []
    for name, branch in sorted(snapshot.branches.items()):
        if branch is None:
            parts.append(b"dangling %s\x000:" % name)
            continue
        if branch.type is BranchType.ALIAS and (
            branch.target == name or branch.target not in snapshot.branches
        ):
            problem = "itself" if branch.target == name else f"{branch.target[:200]!r}, which is no branch"
            raise InvalidManifest(f"the branch {name[:200]!r} of the snapshot is an alias to {problem}")
        parts.append(b"%s %s\0%d:%s" % (branch.type.value.encode(), name, len(branch.target), branch.target))
    return b"".join(parts)


def parse_snapshot(body: bytes) -> Snapshot:
    """The snapshot of a body. Raises ``InvalidManifest`` unless ``encode_snapshot`` gives these very bytes again."""
    branches: dict[bytes, Branch | None] = {}
    position = 0
    while position < len(body):
        name, branch, position = _parse_branch(body, position)
        branches[name] = branch
    snapshot = Snapshot(branches)
    if encode_snapshot(snapshot) != body:
        raise InvalidManifest("the branches of the snapshot are out of order or repeated")
    return snapshot


def _parse_branch(body: bytes, position: int) -> tuple[bytes, Branch | None, int]:
    head = _BRANCH_TYPE.match(body, position)
    if head is None:
        raise InvalidManifest("the snapshot is cut short or no snapshot")
    word, start = head[1].decode("ascii"), head.end()
    for length in _TARGET_LENGTH[word].finditer(body, start):
        end = length.end() + int(length[1])
        # A name may hold a NUL (git's never do): it ends where a target is followed by another branch or the end.
        if end == len(body) or (end < len(body) and _BRANCH_TYPE.match(body, end)):
            name, target = body[start : length.start()], body[length.end() : end]
            return name, None if word == "dangling" else Branch(BranchType(word), target), end
    raise InvalidManifest(f"the snapshot has a {word} branch that is cut short")


# -- edges -------------------------------------------------------------------------------------------------------


def edges(kind: Kind, body: bytes) -> Iterator[tuple[Kind, bytes]]:
    """What must be held for this object to be closed, as git itself follows it; repeats are possible.

    A tree leads to directories and to files and links, not to submodules (nor to entries of odd modes, which git
    takes for submodules). Raises ``InvalidManifest`` as ``parse`` does, at the latest when it meets the damage.
    """
    if kind is Kind.DIRECTORY:
        for _, perms, _, target in _entries(body):
            held = _EDGES.get(perms & 0o170000)
            if held is not None:
                yield held, target
    elif kind is Kind.REVISION:
        tree, parents, _ = _commit_head(body)
        yield Kind.DIRECTORY, tree
        for parent in parents:
            yield Kind.REVISION, parent
    elif kind is Kind.RELEASE:
        target, target_type, _ = _tag_head(body)
        yield target_type, target
    elif kind is Kind.SNAPSHOT:
        yield from edges_of_snapshot(parse_snapshot(body))


def edges_of_snapshot(snapshot: Snapshot) -> Iterator[ObjectId]:
    """What the branches of a snapshot point at; repeats are possible."""
    for branch in snapshot.branches.values():
        kind = branch and branch.type.kind
        if branch and kind:
            yield ObjectId(kind, branch.target)


# -- extrinsic metadata and origins ------------------------------------------------------------------------------


def emd_manifest(record: ExtrinsicMetadata) -> bytes:
    """What is hashed for a metadata record, header included (as ``raw_manifest`` of other objects)."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds = (record.discovery_date - epoch) // datetime.timedelta(seconds=1)
    fields: Mapping[str, str | bytes | int | None] = {
        "target": record.target,
        "discovery_date": seconds,
        "authority": f"{record.authority_type} {record.authority_url}",
        "fetcher": f"{record.fetcher_name} {record.fetcher_version}",
        "format": record.format,
        "origin": record.origin,
        "visit": record.visit,
        "snapshot": record.snapshot,
        "release": record.release,
        "revision": record.revision,
        "path": record.path,
        "directory": record.directory,
    }
    headers = [
        (name.encode(), value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape"))
        for name, value in fields.items()
        if value is not None
    ]
    body = _join(headers, record.metadata)
    return git_header("raw_extrinsic_metadata", len(body)) + body


def emd_id(record: ExtrinsicMetadata) -> bytes:
    """The 20-byte digest of a metadata record (``swh:1:emd:``)."""
    return hashlib.sha1(emd_manifest(record)).digest()


def origin_digest(url: str) -> bytes:
    """The 20-byte digest of an origin (``swh:1:ori:``): the bare SHA-1 of its URL."""
    return hashlib.sha1(url.encode("utf-8", "surrogateescape")).digest()


_KINDS: dict[type, Kind] = {
    Directory: Kind.DIRECTORY,
    Revision: Kind.REVISION,
    Release: Kind.RELEASE,
    Snapshot: Kind.SNAPSHOT,
}
_PARSERS: dict[Kind, Callable[[bytes], Directory | Revision | Release]] = {
    Kind.DIRECTORY: parse_directory,
    Kind.REVISION: parse_revision,
    Kind.RELEASE: parse_release,
}
_EDGES = {0o040000: Kind.DIRECTORY, 0o100000: Kind.CONTENT, 0o120000: Kind.CONTENT}
