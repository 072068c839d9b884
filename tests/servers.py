"""Servers for tests, on free ports of the loopback interface: ``git daemon``, smart HTTP over ``git http-backend``, sshd.

Each is a context manager that yields the base URL under which the repositories below ``root`` are found, and leaves
no process or socket behind.
"""

from __future__ import annotations

import gzip
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, f"{process.args!r} has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"{process.args!r} does not answer")


@contextmanager
def git_daemon(root: Path) -> Iterator[str]:
    """``git daemon`` over everything below ``root``; yields ``git://127.0.0.1:PORT``."""
    # safe.directory is read from protected configuration only: a global file, not the environment's pairs.
    config = root / ".servers-gitconfig"
    config.write_text("[safe]\n\tdirectory = *\n")
    port = free_port()
    argv = [
        "git",
        "daemon",
        "--reuseaddr",
        "--listen=127.0.0.1",
        f"--port={port}",
        "--export-all",
        "--base-path=.",
    ]
    process = subprocess.Popen(
        [*argv, "."],
        cwd=root,
        env=_ENVIRONMENT | {"GIT_CONFIG_GLOBAL": str(config)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(port, process)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Backend(BaseHTTPRequestHandler):
    """The bridge from HTTP to ``git http-backend`` (CGI, RFC 3875)."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self._body())

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _serve(self, body: bytes) -> None:
        url = urlsplit(self.path)
        self.server.requests.append(f"{self.command} {self.path}")
        environment = self.server.environment | {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": "" if self.server.old else self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": self.client_address[0],
        }
        answer = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        ).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").splitlines() if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    """Knows what it serves, and keeps the requests it has seen."""

    daemon_threads = True

    def __init__(
        self, handler: type[BaseHTTPRequestHandler], root: Path, environment: dict[str, str]
    ) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.root, self.environment, self.requests = root, environment, list[str]()
        self.old = False


@contextmanager
def http_server(
    handler: type[BaseHTTPRequestHandler], root: Path = Path("/nonexistent")
) -> Iterator[_Server]:
    """Any handler on a free port of the loopback interface; ``server_port`` of what is yielded tells which."""
    server = _Server(handler, root, _ENVIRONMENT)
    # A short poll keeps the teardown short.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def git_http(root: Path, *, old: bool = False) -> Iterator[str]:
    """Smart HTTP over everything below ``root``; yields ``http://127.0.0.1:PORT``. ``old``: protocol 0 only."""
    config = root / ".servers-gitconfig"
    config.write_text("[safe]\n\tdirectory = *\n")
    with http_server(_Backend, root) as server:
        server.old = old
        server.environment = _ENVIRONMENT | {"GIT_CONFIG_GLOBAL": str(config)}
        yield f"http://127.0.0.1:{server.server_port}"


@dataclass(frozen=True)
class SshServer:
    """A running sshd. ``config`` is a client's configuration that gets in: port, key, known hosts.

    ``folder`` has what that is made of: ``id`` (a key), ``known_hosts``, ``log`` (what the server has to say).
    """

    user: str
    port: int
    folder: Path

    @property
    def url(self) -> str:
        """What repositories' URLs begin with; what follows is an absolute path."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}"

    @property
    def scp(self) -> str:
        """The same as in ``user@host:path``; a relative path is below the server's ``root``."""
        return f"{self.user}@127.0.0.1:"

    @property
    def config(self) -> Path:
        """The client's configuration."""
        return self.folder / "ssh_config"


def ssh_key(file: Path, passphrase: str = "") -> Path:
    """A new key pair at ``file`` and ``file.pub``."""
    argv: list[str | Path] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", file]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return file


@contextmanager
def git_ssh(root: Path, folder: Path) -> Iterator[SshServer]:
    """An sshd for the current user, whose home folder is ``root`` as far as git can see; ``folder`` has its files.

    It needs the Debian package openssh-server, and touches nothing outside ``folder`` (run by root: /run/sshd too).
    """
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    server = SshServer(pwd.getpwuid(os.getuid()).pw_name, free_port(), folder)
    client, host = ssh_key(folder / "id"), ssh_key(folder / "host")
    kind, key, _ = host.with_suffix(".pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
    shutil.copy(client.with_suffix(".pub"), folder / "authorized_keys")
    server.config.write_text(
        f"Port {server.port}\nIdentityFile {client}\nIdentitiesOnly yes\nIdentityAgent none\n"
        f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile /dev/null\n"
    )
    (folder / "gitconfig").write_text("[safe]\n\tdirectory = *\n")
    settings = f"HOME={shlex.quote(str(root))} GIT_CONFIG_GLOBAL={shlex.quote(str(folder / 'gitconfig'))}"
    (folder / "sshd_config").write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nAcceptEnv GIT_PROTOCOL\nAllowUsers {server.user}\nUseDNS no\n"
        f'ForceCommand cd {shlex.quote(str(root))} && {settings} exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "sshd is not installed (Debian: apt install openssh-server)"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", folder / "sshd_config"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(server.port, process)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
