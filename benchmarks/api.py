"""How many requests a second the web API answers, beside an aiohttp application that says hello.

    python benchmarks/api.py [--objects 100000,1000000] [--seconds N] [--clients N]

Archives of so many objects are made up and served by a process of their own, as `swhkit serve` serves them; so is an
application of a few lines that answers each request with a small JSON document, on the same kind of event loop. Another
process asks both, in turn: some connections, each with one request at a time. Objects are chosen at random among all.

Claims, at 100,000 objects: content/, revision/ and a small directory/ reach at least 40 % of the hello-world, and 99 of
100 answers come within 10 ms. The other lines have no limit; they tell where time goes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import measure

#: Share of the hello-world's requests a second that must be reached, and milliseconds for 99 of 100 answers.
SHARE, LATENCY = 0.40, 10.0
CLAIMED = ("content", "revision", "directory")
#: Of N objects so many are contents, and directories; the rest are revisions.
CONTENTS, DIRECTORIES = 0.6, 0.2
BATCH = 50_000
SAMPLES = 2000


def fill(folder: Path, number: int) -> None:
    """Make up an archive of ``number`` objects in ``folder``, and write down ids to ask for."""
    import datetime

    from swhkit import assemble, config
    from swhkit.hashes import git_digest, hash_content
    from swhkit.manifest import encode, encode_snapshot, object_id
    from swhkit.model import (
        Branch,
        BranchType,
        Bytes,
        ContentRow,
        Directory,
        Entry,
        Person,
        PersonRow,
        Revision,
        Snapshot,
        Timestamp,
        VisitStatus,
    )
    from swhkit.storage import Publication
    from swhkit.swhid import Kind, ObjectId

    chance = random.Random(7)
    loaded = config.load(folder / "swhkit.yaml")
    archive: Any = assemble.open_archive(loaded.settings, loaded.registry, create=True)

    def add(objects: Iterator[Any]) -> list[bytes]:
        made: list[bytes] = []
        batch: list[Any] = []
        for obj in objects:
            id = object_id(obj)
            batch.append((id, Bytes(encode(obj))))
            made.append(id.digest)
            if len(batch) == BATCH:
                archive.objects.add(batch)
                batch = []
        archive.objects.add(batch)
        return made

    def contents(count: int) -> list[bytes]:
        made: list[bytes] = []
        for start in range(0, count, BATCH):
            bodies = [
                b"content %d\n" % n + chance.randbytes(chance.randrange(20, 400))
                for n in range(start, min(start + BATCH, count))
            ]
            rows = [ContentRow.of(hash_content(body)) for body in bodies]
            archive.objects.add(
                (ObjectId(Kind.CONTENT, row.sha1_git), Bytes(body))
                for row, body in zip(rows, bodies, strict=True)
            )
            archive.catalog.add(rows)
            made += [row.sha1_git for row in rows]
        return made

    def directory(size: int) -> Directory:
        return Directory(
            tuple(Entry(b"%05d.c" % n, "file", chance.choice(files), 0o100644) for n in range(size))
        )

    ada = Person(b"Ada <ada@example.org>", b"Ada", b"ada@example.org")
    date = Timestamp(1408378705, 0, b"+0200")
    tips: list[bytes] = []

    def revisions(count: int) -> Iterator[Revision]:
        for n in range(count):
            made = Revision(b"Change %d\n" % n, ada, ada, date, date, chance.choice(trees), tuple(tips[-1:]))
            # Histories of a thousand.
            tips[-1:] = [object_id(made).digest]
            if n % 1000 == 999:
                tips.append(object_id(made).digest)
            yield made

    files = contents(int(number * CONTENTS))
    trees = add(directory(10) for _ in range(int(number * DIRECTORIES)))
    large = add(directory(1000) for _ in range(20))
    changes = add(revisions(number - len(files) - len(trees)))
    archive.catalog.add([PersonRow(ada.fullname)])
    now = datetime.datetime.now(datetime.UTC)
    snapshots = []
    for n in range(max(number // 100, 10)):
        branches: dict[bytes, Branch | None] = {
            b"refs/heads/%02d" % b: Branch(BranchType.REVISION, chance.choice(changes))
            for b in range(50 if n < 200 else 1)
        }
        made = Snapshot(branches)
        url = f"https://git.example.org/{chance.choice(('linux', 'python', 'rust', 'gnu'))}/project-{n}"
        visit = archive.catalog.open_visit(url, "git", now)
        archive.catalog.publish(
            url, visit.number, Publication(status=VisitStatus.FULL, date=now, snapshot=made)
        )
        if n < 200:
            snapshots.append(git_digest("snapshot", encode_snapshot(made)))
    archive.close()

    def some(ids: Sequence[bytes]) -> list[str]:
        return [id.hex() for id in chance.sample(ids, min(SAMPLES, len(ids)))]

    ids = {
        "files": some(files),
        "trees": some(trees),
        "large": some(large),
        "changes": some(changes),
        "snapshots": some(snapshots),
    }
    (folder / "ids.json").write_text(json.dumps(ids))


def serve(folder: Path, on_loop: Sequence[str], threads: int) -> None:
    """Serve an archive, as ``swhkit serve`` does, until SIGTERM."""
    from swhkit import assemble, config
    from swhkit.api.app import make_app
    from swhkit.api.server import run
    from swhkit.api.server import serve as forever

    loaded = config.load(folder / "swhkit.yaml")
    archive = assemble.open_archive(loaded.settings, loaded.registry)
    app = make_app(archive, on_loop=on_loop, threads=threads)
    run(forever(app, "127.0.0.1", 0, lambda url: print(url, flush=True)))


def hello() -> None:
    """What there is to compare with: aiohttp, its router, and a small JSON document."""
    from aiohttp import web

    from swhkit.api.server import run

    async def greet(request: web.Request) -> web.Response:
        return web.json_response({"hello": request.match_info["name"]})

    async def forever() -> None:
        app = web.Application()
        app.router.add_get("/hello/{name}/", greet)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
        await asyncio.Event().wait()

    run(forever())


class Server(NamedTuple):
    """A server in a process of its own."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU that it has used; not a number where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def child(*arguments: str | Path) -> Iterator[Server]:
    """A server that runs for as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip().rstrip("/").rpartition(":")[2]
        yield Server(int(port), process.pid)
    finally:
        process.terminate()
        process.wait()


class Client(asyncio.Protocol):
    """One connection that always has one request under way. ``times`` gets the seconds of each."""

    def __init__(self, requests: Sequence[bytes], times: list[float]) -> None:
        self._requests, self._times = requests, times
        self._transport: asyncio.Transport | None = None
        self._missing, self._head, self._begun, self.failed = 0, b"", 0.0, ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._head, self._missing, self._begun = b"", -1, time.perf_counter()
        self._transport.write(random.choice(self._requests))

    def data_received(self, data: bytes) -> None:
        """Count down what is announced; then ask again."""
        if self._missing < 0:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self.failed = head.decode("latin-1")[:200]
                raise SystemExit(f"the server answered {self.failed}")
            self._missing = int(head[head.index(b"Content-Length: ") + 16 :].split(b"\r\n", 1)[0]) - len(body)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._times.append(time.perf_counter() - self._begun)
            self._ask()

    def stop(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


class Round(NamedTuple):
    """What one server did with one kind of request: requests a second, seconds of CPU for each, and seconds within
    which half and 99 of 100 answers came."""

    rate: float
    cpu: float
    p50: float
    p99: float


async def ask(server: Server, requests: Sequence[bytes], seconds: float, clients: int) -> Round:
    """Ask for some seconds; the first quarter second is not counted."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    made = [
        await loop.create_connection(lambda: Client(requests, times), "127.0.0.1", server.port)
        for _ in range(clients)
    ]
    await asyncio.sleep(0.25)
    times.clear()
    begun, cpu = time.perf_counter(), server.cpu()
    await asyncio.sleep(seconds)
    took, cpu, seen = time.perf_counter() - begun, server.cpu() - cpu, sorted(times)
    for _, client in made:
        client.stop()
    if not seen:
        raise SystemExit("not one answer came")
    return Round(len(seen) / took, cpu / len(seen), statistics.median(seen), seen[int(len(seen) * 0.99)])


def get(path: str) -> bytes:
    """A request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """A request with a JSON body."""
    kind = "application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def kinds(ids: dict[str, list[str]]) -> dict[str, list[bytes]]:
    """Requests of each kind that is measured."""
    chance = random.Random(3)
    swhids = [f"swh:1:cnt:{id}" for id in ids["files"]] + [f"swh:1:rev:{id}" for id in ids["changes"]]

    def thousand() -> bytes:
        held = chance.sample(swhids, min(500, len(swhids)))
        return json.dumps(
            held + [f"swh:1:cnt:{chance.getrandbits(160):040x}" for _ in range(1000 - len(held))]
        ).encode()

    return {
        "content": [get(f"/api/1/content/sha1_git:{id}/") for id in ids["files"]],
        "content raw": [get(f"/api/1/content/sha1_git:{id}/raw/") for id in ids["files"]],
        "raw": [get(f"/api/1/raw/{swhid}/") for swhid in swhids],
        "revision": [get(f"/api/1/revision/{id}/") for id in ids["changes"]],
        "directory": [get(f"/api/1/directory/{id}/") for id in ids["trees"]],
        "directory of 1000": [get(f"/api/1/directory/{id}/") for id in ids["large"]],
        "snapshot": [get(f"/api/1/snapshot/{id}/") for id in ids["snapshots"]],
        "log": [get(f"/api/1/revision/{id}/log/?limit=100") for id in ids["changes"]],
        "known(1000)": [post("/api/1/known/", thousand()) for _ in range(50)],
        "search": [
            get(f"/api/1/origin/search/{word}/?limit=20")
            for word in ("linux", "project-1", "python%207", "zzz")
        ],
        "ping": [get("/api/1/ping/")],
    }


def compare(folder: Path, options: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    """Measure each kind of request against the hello-world, both in turn, ``--times`` times."""
    wanted = kinds(json.loads((folder / "ids.json").read_text()))
    if options.only:
        wanted = {name: wanted[name] for name in options.only.split(",")}
    greetings = [get(f"/hello/{n}/") for n in range(100)]
    rows = []
    server = ("--serve", folder, "--on-loop", options.on_loop, "--threads", str(options.threads))
    with child("--hello") as plain, child(*server) as served:
        for name, requests in wanted.items():
            rounds = []
            for _ in range(options.times):
                theirs = run(ask(plain, greetings, options.seconds, options.clients))
                rounds.append((theirs, run(ask(served, requests, options.seconds, options.clients))))
            row = {
                "objects": number,
                "request": name,
                "share": statistics.median(ours.rate / theirs.rate for theirs, ours in rounds),
                "cpu": statistics.median(theirs.cpu / ours.cpu for theirs, ours in rounds),
                "microseconds": 1e6 * statistics.median(ours.cpu for _, ours in rounds),
                "rate": statistics.median(ours.rate for _, ours in rounds),
                "hello": statistics.median(theirs.rate for theirs, _ in rounds),
                "p50": 1000 * statistics.median(ours.p50 for _, ours in rounds),
                "p99": 1000 * statistics.median(ours.p99 for _, ours in rounds),
                "hello_p99": 1000 * statistics.median(theirs.p99 for theirs, _ in rounds),
                "claimed": name in CLAIMED and number <= 100_000,
            }
            row["held"] = not row["claimed"] or (row["share"] >= SHARE and row["p99"] <= LATENCY)
            rows.append(row)
            if not options.json:
                print(line(row), flush=True)
    return rows


def run(main: Any) -> Any:
    """Run on uvloop where it is installed."""
    with suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    return asyncio.run(main)


def line(row: dict[str, Any]) -> str:
    """For people."""
    verdict = ("ok" if row["held"] else "MISSED") if row["claimed"] else ""
    return (
        f"{row['objects']:>9,} {row['request']:<18} {row['share']:6.1%} of hello ({row['cpu']:6.1%} by CPU, "
        f"{row['microseconds']:,.0f} µs)  "
        f"{row['rate']:8,.0f} / {row['hello']:,.0f} a second  "
        f"p50 {row['p50']:6.2f} ms  p99 {row['p99']:6.2f} ms (hello {row['hello_p99']:.2f})  {verdict}"
    )


def main() -> int:
    """Measure, or be one of the servers."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--objects", default="100000", help="sizes of the archives, with commas between")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--times", type=int, default=3, help="rounds")
    parser.add_argument("--clients", type=int, default=8, help="connections")
    parser.add_argument("--threads", type=int, default=8, help="threads of the server")
    parser.add_argument("--only", default="", help="kinds of requests, with commas between")
    parser.add_argument(
        "--on-loop", default="", help="routes answered on the event loop, with commas between"
    )
    parser.add_argument("--folder", type=Path, help="where scratch folders are made")
    parser.add_argument("--keep", type=Path, help="a folder in which archives are kept and found again")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    parser.add_argument("--check", action="store_true", help="end with 1 when a claim does not hold")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--hello", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hello:
        hello()
    elif options.serve:
        serve(options.serve, [name for name in options.on_loop.split(",") if name], options.threads)
    else:
        return measured(options)
    return 0


def measured(options: argparse.Namespace) -> int:
    """All sizes; prints the rows; the exit code."""
    rows: list[dict[str, Any]] = []
    for number in map(int, options.objects.split(",")):
        with measure.scratch(options.folder) as scratch:
            folder = (options.keep or scratch) / f"archive-{number}"
            if not (folder / "ids.json").exists():
                begun = time.monotonic()
                fill(measure.new_archive(folder), number)
                print(
                    f"{number:,} objects made in {time.monotonic() - begun:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
            rows += compare(folder, options, number)
    if options.json:
        print(json.dumps({"results": rows}))
    return 1 if options.check and not all(row["held"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
