"""Readers of a served archive that believe nothing: every body is hashed, every promise remembered.

What a reader has seen is true for ever: objects below a ``full`` visit stay, counters never go back, a content keeps
its digests. ``Truth`` is what all readers together know; ``Reader`` asks one question after the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp

from swhkit import manifest
from swhkit.swhid import Kind, ObjectId

#: Contents of this size and more are sent as a stream.
LARGE = 1 << 20
_KINDS = {
    "content": Kind.CONTENT,
    "directory": Kind.DIRECTORY,
    "revision": Kind.REVISION,
    "release": Kind.RELEASE,
    "snapshot": Kind.SNAPSHOT,
}


class Truth:
    """What was seen, and what was wrong with it. ``packs`` lists the packs there are (to tell that some went)."""

    def __init__(self, origins: Callable[[], list[str]], packs: Callable[[], set[str]]) -> None:
        self.origins, self.packs = origins, packs
        self.whole: set[str] = set()  # snapshots of full visits that were followed down to their contents
        self.begun: set[str] = set()
        self.held: dict[ObjectId, int] = {}  # with their length
        self.problems: list[str] = []
        self.answers = 0
        self.survived = 0  # streams that were open while a pack was deleted

    def of(self, *kinds: Kind) -> list[ObjectId]:
        """What is known to be held, of some kinds."""
        return [id for id in list(self.held) if id.kind in kinds]


def slow_socket(address: Any) -> socket.socket:
    """A socket that takes little at once, so that a stream lasts as long as its reader wants."""
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    made.setblocking(False)
    return made


class Reader:
    """One client of the API at ``base`` (which ends in ``/api/1``)."""

    def __init__(self, base: str, truth: Truth, seed: int) -> None:
        self.base, self.truth, self.chance = base, truth, random.Random(seed)
        self.counted: dict[str, int] = {}
        self.questions = (
            self.counters, self.visits, self.visits, self.snapshot, self.content, self.raw, self.raw,
            self.large, self.directory, self.revision, self.log, self.known,
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop, or until something is wrong."""
        connector = aiohttp.TCPConnector(limit=2, socket_factory=slow_socket)
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self.session:
            while not stop.is_set() and not self.truth.problems:
                question = self.chance.choice(self.questions)
                try:
                    await question()
                except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                    self.wrong(f"{question.__name__}: {type(error).__name__}: {error}")

    def wrong(self, text: str) -> None:
        """Remember what should not be."""
        self.truth.problems.append(text)

    async def body(self, path: str, absent: bool = False, pause: float = 0.0, **options: Any) -> bytes | None:
        """The bytes of an answer, None for a 404 that may be. ``pause``: seconds to rest after each 64 KiB."""
        async with self.session.request(
            options.pop("method", "GET"), f"{self.base}/{path}", **options
        ) as answer:
            self.truth.answers += 1
            parts = []
            async for part in answer.content.iter_chunked(1 << 16):
                parts.append(part)
                if pause:
                    await asyncio.sleep(pause)
            data = b"".join(parts)
            if answer.status == 404 and absent:
                return None
            if answer.status != 200:
                self.wrong(f"{path} was answered with {answer.status}: {data[:300]!r}")
                return None
            return data

    async def json(self, path: str, **options: Any) -> Any:
        """The JSON of an answer, None if there is none."""
        data = await self.body(path, **options)
        return None if data is None else json.loads(data)

    def some(self, *kinds: Kind) -> ObjectId | None:
        """Any object that is known to be held."""
        ids = self.truth.of(*kinds)
        return self.chance.choice(ids) if ids else None

    # -- questions ---------------------------------------------------------------------------------------------------

    async def counters(self) -> None:
        """No counter ever goes back."""
        now = await self.json("stat/counters/")
        for name, count in self.counted.items():
            if now is not None and now[name] < count:
                self.wrong(f"the counter {name} went from {count} to {now[name]}")
        self.counted = now or self.counted

    async def visits(self) -> None:
        """The snapshot of a full visit leads down to its contents."""
        url = self.chance.choice(self.truth.origins())
        for visit in await self.json(f"origin/{quote(url, safe=':/')}/visits/", absent=True) or ():
            if visit["status"] == "full" and visit["snapshot"] not in self.truth.begun:
                self.truth.begun.add(visit["snapshot"])
                if await self.follow(visit["snapshot"]):
                    self.truth.whole.add(visit["snapshot"])

    async def snapshot(self) -> None:
        """A snapshot stays the same."""
        for digest in self.chance.sample(sorted(self.truth.whole), min(1, len(self.truth.whole))):
            await self.heads(digest)

    async def content(self) -> None:
        """All digests of a content fit its bytes."""
        if (id := self.some(Kind.CONTENT)) is None:
            return
        row = await self.json(f"content/sha1_git:{id.hex}/")
        data = await self.body(f"content/sha1_git:{id.hex}/raw/")
        if row is None or data is None:
            return
        names = {"sha1": "sha1", "sha256": "sha256", "blake2s256": "blake2s"}
        if any(
            row["checksums"][name] != hashlib.new(theirs, data).hexdigest() for name, theirs in names.items()
        ):
            self.wrong(f"the bytes of {id} do not fit {row['checksums']}")
        if row["length"] != len(data) or row["status"] != "visible":
            self.wrong(f"{id} has {len(data)} bytes and is said to be {row}")

    async def raw(self) -> None:
        """Any object hashes to its id."""
        if (id := self.some(Kind.CONTENT, Kind.DIRECTORY, Kind.REVISION, Kind.RELEASE)) is not None:
            await self.fetch(id)

    async def large(self) -> None:
        """A large content, taken so slowly that packs come and go meanwhile."""
        ids = [id for id in self.truth.of(Kind.CONTENT) if self.truth.held[id] >= LARGE]
        if ids:
            before = self.truth.packs()
            await self.fetch(self.chance.choice(ids), pause=self.chance.choice((0.0, 0.02, 0.05)))
            self.truth.survived += not before <= self.truth.packs()

    async def directory(self) -> None:
        """A directory lists what its manifest has."""
        if (id := self.some(Kind.DIRECTORY)) is None:
            return
        listed = await self.json(f"directory/{id.hex}/")
        manifest_ = await self.fetch(id)
        if listed is not None and manifest_ is not None:
            targets = {digest.hex() for _, digest in manifest.edges(id.kind, manifest_)}
            if {entry["target"] for entry in listed} != targets:
                self.wrong(f"{id} lists other entries than its manifest has")

    async def revision(self) -> None:
        """A revision names the directory of its manifest."""
        if (id := self.some(Kind.REVISION)) is None:
            return
        told = await self.json(f"revision/{id.hex}/")
        manifest_ = await self.fetch(id)
        if told is not None and manifest_ is not None:
            edges = [(kind, digest.hex()) for kind, digest in manifest.edges(id.kind, manifest_)]
            parents = [(Kind.REVISION, parent["id"]) for parent in told["parents"]]
            if [(Kind.DIRECTORY, told["directory"]), *parents] != edges:
                self.wrong(f"{id} is told to have another directory or parents than its manifest has")

    async def log(self) -> None:
        """The log of a held revision is there."""
        if (id := self.some(Kind.REVISION)) is not None:
            told = await self.json(f"revision/{id.hex}/log/?limit=20")
            if told is not None and (not told or told[0]["id"] != id.hex):
                self.wrong(f"the log of {id} begins with another revision")

    async def known(self) -> None:
        """What was held is known."""
        ids = [str(id) for id in self.truth.held]
        asked = self.chance.sample(ids, min(len(ids), 200))
        told = await self.json("known/", method="POST", json=asked)
        lost = [id for id in asked if told is not None and not told[id]["known"]]
        if lost:
            self.wrong(f"{len(lost)} objects are no longer known: {lost[0]}")

    # -- following ---------------------------------------------------------------------------------------------------

    async def follow(self, snapshot: str) -> bool:
        """Fetch all below a snapshot that nobody has fetched yet; whether all was there."""
        waiting = await self.heads(snapshot)
        if waiting is None:
            return False
        while waiting:
            id = waiting.pop()
            if id in self.truth.held:
                continue
            data = await self.fetch(id)
            if data is None:
                return False
            self.truth.held[id] = len(data)
            if id.kind is not Kind.CONTENT:
                waiting += [ObjectId(kind, digest) for kind, digest in manifest.edges(id.kind, data)]
        return True

    async def heads(self, snapshot: str) -> list[ObjectId] | None:
        """What the branches of a snapshot point at."""
        told = await self.json(f"snapshot/{snapshot}/")
        if told is None or told["next_branch"] is not None:
            return None
        branches = [branch for branch in told["branches"].values() if branch["target_type"] in _KINDS]
        return [
            ObjectId(_KINDS[branch["target_type"]], bytes.fromhex(branch["target"])) for branch in branches
        ]

    async def fetch(self, id: ObjectId, pause: float = 0.0) -> bytes | None:
        """The body of an object that must be there, hashed."""
        data = await self.body(f"raw/{id}/", pause=pause)
        if data is None:
            return None
        head, _, rest = data.partition(b"\0")
        if hashlib.sha1(data).digest() != id.digest or head != f"{id.kind.git} {len(rest)}".encode():
            self.wrong(f"the bytes served as {id} do not hash to it")
            return None
        return rest
