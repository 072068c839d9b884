"""Children: what they get, how they end, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import soon

from swhkit.child import STDERR_TAIL
from swhkit.errors import ChildFailed, ChildTimeout, InvalidInput, LimitExceeded, MissingProgram
from swhkit.interrupts import Cancelled, ask
from swhkit.process import Runner
from swhkit.text import clean_text, without_secrets


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    home = tmp_path / "home"
    home.mkdir()
    return Runner(home)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> set[int]:
    """The children of this process that live; servers of other tests may be among them."""
    found = set[int]()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError):  # the thread has ended
            found |= {int(pid) for pid in file.read_text().split()}
    return {pid for pid in found if alive(pid)}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_output_code_and_stderr_are_returned(runner: Runner) -> None:
    done = runner.run(sh("echo out; echo err >&2; exit 3"), check=False)
    assert (done.code, done.stdout, done.stderr) == (3, b"out\n", "err\n")


def test_a_failing_child_raises_with_its_last_words(runner: Runner) -> None:
    with pytest.raises(ChildFailed, match=r"ended with 5: the reason") as caught:
        runner.run(sh("echo first >&2; echo the reason >&2; exit 5"))
    assert caught.value.code == 5
    assert caught.value.argv[0] == "sh"


def test_a_child_ended_by_a_signal_has_a_negative_code(runner: Runner) -> None:
    assert runner.run(sh("kill -SEGV $$"), check=False).code == -signal.SIGSEGV


def test_megabytes_go_in_and_out_without_a_deadlock(runner: Runner) -> None:
    data = os.urandom(1 << 20) * 5
    assert runner.run(["cat"], input=data).stdout == data
    assert runner.run(["cat"], input=(data[i : i + 777] for i in range(0, len(data), 777))).stdout == data


def test_output_on_both_channels_at_once_does_not_block(runner: Runner) -> None:
    script = (
        "import sys\nfor _ in range(300):\n sys.stderr.write('e'*9999+chr(10)); sys.stdout.write('o'*9999)"
    )
    done = runner.run([sys.executable, "-c", script])
    assert len(done.stdout) == 300 * 9999
    assert 0 < len(done.stderr) <= STDERR_TAIL


def test_a_child_that_does_not_read_its_input_is_judged_by_its_code(runner: Runner) -> None:
    assert runner.run(["true"], input=b"x" * (4 << 20)).code == 0
    with pytest.raises(ChildFailed) as caught:
        runner.run(sh("echo no thanks >&2; exit 4"), input=b"x" * (4 << 20))
    assert (caught.value.code, caught.value.stderr) == (4, "no thanks\n")


def test_writing_to_a_child_that_died_raises_why_it_died(runner: Runner) -> None:
    def write() -> None:
        with runner.start(sh("echo gone already >&2; exit 7")) as child:
            for _ in range(1000):
                child.stdin.write(b"x" * 65536)

    with pytest.raises(ChildFailed, match="gone already") as caught:
        write()
    assert caught.value.code == 7


def test_an_error_of_the_input_is_raised_and_ends_the_child(runner: Runner) -> None:
    def input() -> Iterator[bytes]:
        yield b"some"
        raise KeyError("a broken source")

    with pytest.raises(KeyError, match="a broken source"):
        runner.run(sh("cat >/dev/null; sleep 60"), input=input())


def test_the_environment_is_ours_alone(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    out = runner.with_(environment={"OURS": "1"}).run(["env"], env={"MINE": "2"}).stdout.decode()
    found = dict(line.partition("=")[::2] for line in out.splitlines())
    assert not {"SECRET_TOKEN", "GIT_DIR", "LD_LIBRARY_PATH"} & set(found)
    assert (found["OURS"], found["MINE"], found["LC_ALL"]) == ("1", "2", "C")
    assert found["HOME"] == found["TMPDIR"] == str(runner.home)


def test_relative_folders_of_the_path_are_not_searched(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    trap.write_text("#!/bin/sh\necho caught")
    trap.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".::{os.environ['PATH']}")
    with pytest.raises(MissingProgram):
        runner.run(["trap"])


def test_children_work_in_home_and_paths_are_made_absolute(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("found")
    assert runner.run(["pwd"]).stdout.decode().strip() == str(runner.home)
    assert runner.run(["cat", Path("here.txt")]).stdout == b"found"
    assert runner.run(["pwd"], cwd=tmp_path).stdout.decode().strip() == str(tmp_path)


def test_arguments_are_never_read_by_a_shell(runner: Runner, tmp_path: Path) -> None:
    text = f"$(touch {tmp_path}/x); `id` | & > '"
    assert runner.run(["printf", "%s", text]).stdout.decode() == text
    assert not (tmp_path / "x").exists()


def test_a_nul_byte_in_an_argument_is_refused(runner: Runner) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        runner.run(["echo", "a\0b"])


@pytest.mark.parametrize(
    ("program", "package"), [("hg", "mercurial"), ("svnrdump", "subversion"), ("git", "git"), ("brz", "brz")]
)
def test_a_missing_program_names_its_package(
    runner: Runner, program: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingProgram, match=rf"'{program}'.* {package}\)"):
        runner.run([program])


def test_a_timeout_kills_the_whole_group(runner: Runner) -> None:
    began = time.monotonic()
    with pytest.raises(ChildTimeout, match=r"time of 0\.3 s was up") as caught:
        runner.run(sh("echo started >&2; sleep 61 & sleep 62; wait"), timeout=0.3)
    assert time.monotonic() - began < 50
    assert caught.value.stderr.startswith("started")


def test_a_deadline_holds_for_every_child(runner: Runner) -> None:
    bound = runner.with_(deadline=time.monotonic() + 0.3)
    with pytest.raises(ChildTimeout):
        bound.run(["sleep", "60"])
    with pytest.raises(ChildTimeout, match="not started"):
        bound.run(["true"])
    assert bound.with_(environment={"A": "b"}).deadline == bound.deadline
    assert bound.with_(deadline=time.monotonic() + 3600).deadline == bound.deadline
    assert bound.with_(deadline=0.0).deadline == 0.0


def test_a_timeout_is_told_even_where_nobody_waits(runner: Runner) -> None:
    with (
        pytest.raises(ChildTimeout),
        runner.start(sh("echo half; sleep 60"), timeout=0.3, stdin=False) as child,
    ):
        assert child.stdout.read() == b"half\n"


def test_a_timeout_explains_the_error_it_caused(runner: Runner) -> None:
    with (
        pytest.raises(ChildTimeout) as caught,
        runner.start(sh("echo half; sleep 60"), timeout=0.3, stdin=False) as child,
    ):
        int(child.stdout.read())
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_stray_that_left_the_group_and_keeps_the_pipes_cannot_hold_us(runner: Runner) -> None:
    began = time.monotonic()
    with pytest.raises(ChildTimeout):
        runner.run(sh("setsid sleep 20 & sleep 60"), timeout=0.3)
    assert runner.run(["true"]).code == 0
    assert time.monotonic() - began < 15


def test_leaving_the_block_kills_grandchildren_too(runner: Runner) -> None:
    with runner.start(sh("sleep 63 & echo $!; wait"), stdin=False) as child:
        grandchild = int(child.stdout.readline())
        leader = child.pid
        assert alive(grandchild)
    assert not Path(f"/proc/{leader}").exists()  # reaped
    assert soon(lambda: not alive(grandchild))


def test_grandchildren_of_a_leader_that_has_ended_are_killed(runner: Runner) -> None:
    with runner.start(sh("sleep 64 >/dev/null 2>&1 & echo $!"), stdin=False) as child:
        grandchild = int(child.stdout.readline())
        assert child.wait() == 0
        assert alive(grandchild)
    assert soon(lambda: not alive(grandchild))


def test_an_error_in_the_block_ends_the_child(runner: Runner) -> None:
    pids: list[int] = []

    def work() -> None:
        with runner.start(["sleep", "65"]) as child:
            pids.append(child.pid)
            raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        work()
    assert not Path(f"/proc/{pids[0]}").exists()


def test_a_child_can_be_talked_to(runner: Runner) -> None:
    with runner.start(["cat"]) as child:
        for word in (b"one\n", b"two\n"):
            child.stdin.write(word)
            child.stdin.flush()
            assert child.stdout.readline() == word
        child.stdin.close()
        assert child.wait() == 0
        assert child.wait() == 0


def test_without_stdin_there_is_an_end_at_once(runner: Runner) -> None:
    with runner.start(["cat"], stdin=False) as child:
        assert child.stdout.read() == b""
        with pytest.raises(ValueError, match="closed"):
            child.stdin.write(b"x")


def test_too_much_output_is_refused(runner: Runner) -> None:
    assert len(runner.run(["head", "-c", "1000", "/dev/zero"], max_output=1000).stdout) == 1000
    with pytest.raises(LimitExceeded, match="1000 bytes"):
        runner.run(["head", "-c", "1001", "/dev/zero"], max_output=1000)
    with pytest.raises(LimitExceeded):
        runner.run(["cat", "/dev/zero"], max_output=1 << 20)


def test_descriptors_are_passed_on_only_when_asked(runner: Runner, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        listing = ["ls", "-l", "/proc/self/fd"]
        assert str(tmp_path / "lock") not in runner.run(listing).stdout.decode()
        holder = runner.with_(pass_fds=[lock.fileno()]).with_(environment={"A": "b"})
        assert str(tmp_path / "lock") in holder.run(listing).stdout.decode()


PARENT = """
import sys, time
from pathlib import Path
from swhkit.process import Runner
with Runner(Path(sys.argv[1])).start(["sleep", "66"]) as child:
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert soon(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == "sleep")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert soon(lambda: not alive(pid))


def test_many_threads_may_start_children_at_once(runner: Runner) -> None:
    results: list[bytes] = []

    def work(name: bytes) -> None:
        results.extend(runner.run(["cat"], input=name * 9999).stdout[:2] for _ in range(10))

    threads = [threading.Thread(target=work, args=(b"%02d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(b"%02d" % n for n in range(8) for _ in range(10))


def test_nothing_is_left_open(runner: Runner) -> None:
    runner.run(["true"])
    descriptors, threads = open_descriptors(), threading.active_count()
    for _ in range(20):
        runner.run(["cat"], input=b"x", timeout=60)
        runner.run(["false"], check=False)
    assert open_descriptors() == descriptors
    assert soon(lambda: threading.active_count() <= threads)


def test_an_interrupt_at_any_moment_leaves_nothing_half_done(runner: Runner) -> None:
    """A signal may come while a child is begun, fed or ended: it alone is raised, and nobody is left behind."""
    runner.run(["cat"], input=b"x", timeout=60)
    descriptors, threads, others = open_descriptors(), threading.active_count(), children()
    before = signal.signal(signal.SIGALRM, lambda *_: ask(Cancelled))
    interrupted = 0
    try:
        for turn in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + turn * 0.00002)
                runner.run(["cat"], input=b"x", timeout=60)
                time.sleep(0.05)  # it may also come when all is done
            except Cancelled:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 300  # Python drops what is raised inside a callback of C code
    assert soon(lambda: threading.active_count() <= threads), threading.enumerate()
    assert soon(lambda: open_descriptors() <= descriptors)
    assert children() <= others


def test_the_tail_of_stderr_is_bounded_and_begins_with_a_whole_line(runner: Runner) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i is here >&2; i=$((i+1)); done; exit 1"
    text = runner.run(sh(script), check=False).stderr
    assert len(text) <= STDERR_TAIL
    assert text.endswith("line 2999 is here\n")
    assert all(line.startswith("line ") for line in text.splitlines())


def test_a_password_cut_in_two_by_the_tail_is_not_shown(runner: Runner) -> None:
    padding = STDERR_TAIL - len("cret@host/x y\n")
    script = f"import sys; sys.stderr.write('https://user:se' + 'cret@host/x y' + 'z' * {padding} + chr(10))"
    assert "cret" not in runner.run([sys.executable, "-c", script]).stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fatal: https://user:hunter2@host/x failed", "fatal: https://user:***@host/x failed"),
        ("https://ghp_token@host/x", "https://***@host/x"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("svn+ssh://a:b@host/x http://c:d@e", "svn+ssh://a:***@host/x http://c:***@e"),
        ("https://user:p@ss@host/x", "https://user:***@host/x"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_secrets_do_not_show_in_errors(runner: Runner) -> None:
    url = "https://user:hunter2@example.org/x"
    with pytest.raises(ChildFailed) as caught:
        runner.run([*sh('echo "cannot read $0" >&2; exit 1'), url])
    assert "hunter2" not in str(caught.value) + caught.value.stderr + repr(caught.value.argv)
    with pytest.raises(ChildTimeout) as late:
        runner.with_(deadline=0.0).run(["echo", url])
    assert "hunter2" not in str(late.value) + repr(late.value.argv)


def test_what_a_child_says_is_fit_for_a_terminal() -> None:
    said = (
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07plain\x00\x08\r\nnext\rlast \xff\xc2\x9b1m \xe2\x80\xaeabc\ttab"
    )
    assert clean_text(said) == "red plain\nnext\nlast \ufffd1m abc\ttab"
    assert clean_text(b"https://us\x1b[0mer:hun\x00ter2@host") == "https://user:***@host"
