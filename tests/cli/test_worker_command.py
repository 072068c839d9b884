"""``swhkit worker``, and ``swhkit serve`` with workers beside it, as programs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import run
from waiting import soon
from workers import Place, ended, running, settings

from swhkit.jobs import JobState
from swhkit.testing.processes import await_nobody_in, command_line, descendants

MEMORY = {"backend": "memory"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place", settings({"lease": 2}))


@contextmanager
def serving(place: Place, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``swhkit serve`` without a terminal, and the URL it prints."""
    with running(place, "serve", "--listen", "127.0.0.1:0", *options) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]*/", url), process.communicate()[1]
        yield process, url


def warning_of(place: Place) -> str:
    """The one line that a server warns with, which answers nevertheless."""
    with serving(place) as (process, url):
        urllib.request.urlopen(f"{url}api/1/ping/", timeout=20).close()
        process.terminate()
        code, err = ended(process)
    assert code == 0
    (line,) = err.splitlines()
    return line


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The worker processes below a server."""
    return [child for child in descendants(process.pid) if " worker --slots " in command_line(child)]


def test_a_worker_says_what_became_of_each_job(place: Place) -> None:
    place.enqueue("ok", "gone", "away")
    done = place.work("--slots", "1")
    lines = done.stdout.splitlines()
    kinds = [line.partition(":")[0] for line in lines]
    assert kinds[:2] == ["done", "failed"], lines
    assert re.fullmatch(
        r"done: visit made file://\S+/ok: full, eventful, swh:1:snp:[0-9a-f]{40} \(\d+\.\d s\)", lines[0]
    )
    assert re.match(r"again in 0 s: visit made \S+/away: away does not answer", lines[2]), lines
    # Its second try may be due only when this worker has found nothing more to do.
    last = lines[3:] or place.work("--slots", "1").stdout.splitlines()
    assert [line.partition(":")[0] for line in last] == ["failed"], last
    assert place.work().stdout == ""


@pytest.mark.parametrize("key", ["objects", "catalog", "requests", "jobs"])
def test_workers_need_stores_that_processes_share(tmp_path: Path, key: str) -> None:
    (tmp_path / "swhkit.yaml").write_text(f"archive: {{{key}: {{backend: memory}}}}\n")
    done = run("worker", "--once", cwd=tmp_path, code=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"swhkit: archive.{key}: memory is shared with no other process")


def test_a_worker_needs_an_archive(tmp_path: Path) -> None:
    (line,) = run("worker", "--once", cwd=tmp_path, code=1).stderr.splitlines()
    assert "swhkit init" in line
    assert run("worker", "--slots", "0", cwd=tmp_path, code=2).stdout == ""


def test_a_server_works_on_jobs_and_ends_with_its_workers(place: Place) -> None:
    place.enqueue("ok")
    with serving(place) as (process, url):
        assert place.all_end()
        place.enqueue("ok-later", "wait")
        assert place.began("wait")
        assert soon(lambda: place.jobs()["ok-later"].state is JobState.DONE, 20)
        assert len(workers_of(process)) == 1
        with urllib.request.urlopen(f"{url}api/1/stat/counters/", timeout=20) as answer:
            assert json.load(answer)["origin"] >= 1
        process.send_signal(signal.SIGTERM)
        code, err = ended(process)
        assert (code, err) == (0, "")
    await_nobody_in(place.folder)
    jobs = place.jobs()
    assert (jobs["ok"].state, jobs["ok-later"].state) == (JobState.DONE, JobState.DONE)
    assert (jobs["wait"].state, jobs["wait"].leased) == (JobState.QUEUED, 0)


def test_a_worker_that_dies_is_started_again(place: Place) -> None:
    with serving(place, "--workers", "1") as (process, _):
        assert soon(lambda: bool(workers_of(process)), 20)
        (worker,) = workers_of(process)
        os.kill(worker, signal.SIGKILL)
        place.enqueue("ok")
        assert place.all_end()
        assert workers_of(process) not in ([], [worker])
        process.send_signal(signal.SIGINT)
        code, err = ended(process)
        assert code == 0
        assert re.search(r"the worker ended with code -9: it is started again in 1 s", err), err
    await_nobody_in(place.folder)


def test_nothing_outlives_a_server_that_is_killed(place: Place) -> None:
    place.enqueue("wait")
    with serving(place) as (process, _):
        assert place.began("wait")
        process.kill()
        process.communicate()
    await_nobody_in(place.folder)


@pytest.mark.parametrize("how", ["--workers", "jobs.workers"])
def test_a_server_without_workers(tmp_path: Path, how: str) -> None:
    place = Place(tmp_path / "place", settings({"workers": 0 if how == "jobs.workers" else 2}))
    place.enqueue("ok")
    with serving(place, *(["--workers", "0"] if how == "--workers" else [])) as (process, url):
        urllib.request.urlopen(f"{url}api/1/ping/", timeout=20).close()
        assert not soon(lambda: bool(descendants(process.pid)), 1.5)
        process.terminate()
        assert ended(process) == (0, "")
    assert place.jobs()["ok"].state is JobState.QUEUED


def test_a_server_of_stores_in_memory_says_that_it_has_no_workers(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", settings(archive={"jobs": MEMORY, "requests": MEMORY}))
    line = warning_of(place)
    assert line.startswith(
        "swhkit: there are no workers: archive.requests: memory is shared with no other process"
    )


def test_a_server_whose_disk_takes_no_requests_serves(tmp_path: Path) -> None:
    """The job store cannot be made: everybody may still read."""
    place = Place(tmp_path / "place", settings())
    config = place.folder / "swhkit.yaml"
    config.write_text(config.read_text() + "archive: {jobs: {path: /proc/none/jobs.sqlite}}\n")
    line = warning_of(place)
    assert line.startswith("swhkit: requests are not taken, and no jobs done: ")
