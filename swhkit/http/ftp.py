"""Files of an FTP server (RFC 959), in pieces. Data comes over connections to the address that was checked, whatever
the server says in its answer to PASV."""

from __future__ import annotations

import ftplib
import socket
from collections.abc import Generator
from contextlib import closing, suppress
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from swhkit.errors import NotFound, Unavailable
from swhkit.http.answer import PIECE, Torn, plain_url, reason_of
from swhkit.http.wire import SECONDS, alarm
from swhkit.net import Target, dial, port_of

#: Bytes of greetings and answers in one session.
_TALK = 1 << 18


def ftp_pieces(target: Target, deadline: float | None) -> Generator[bytes, None, None]:
    """The file at ``target``, in pieces. At the ``deadline`` it breaks off. Raises ``NotFound``, ``Unavailable``."""
    session = _Session(target, deadline)
    parts, shown = urlsplit(target.url), plain_url(target.url)
    userinfo = parts.netloc.rpartition("@")[0].partition(":")
    path = unquote_to_bytes(parts.path.removeprefix("/")).decode("latin-1")
    try:
        with alarm(deadline, session.cut), closing(session):
            session.open()
            session.login(unquote(userinfo[0]), unquote(userinfo[2]))
            session.voidcmd("TYPE I")
            with session.transfercmd(f"RETR {path}") as data:
                while piece := data.recv(PIECE):
                    yield piece
            session.voidresp()  # 226: that was all of it
    except ftplib.error_perm as error:
        if str(error).startswith(("530", "550")):
            raise NotFound(
                f"{shown}: there is nothing that everybody may read ({reason_of(error)})"
            ) from error
        raise Unavailable(f"{shown}: the server refuses ({reason_of(error)})") from error
    except (OSError, EOFError, ftplib.Error, ValueError) as error:
        raise Torn(f"{shown}: the file has not come whole ({reason_of(error)})") from error


class _Session(ftplib.FTP):
    """A session with a checked target."""

    def __init__(self, target: Target, deadline: float | None) -> None:
        super().__init__(timeout=SECONDS, encoding="latin-1")
        self._target, self._deadline = target, deadline
        self._said, self._late = 0, False
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        """Connect and take the greeting."""
        self.sock = self._kept(dial(self._target, self._deadline))
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.host, self.port = self._target.host or "", port_of(self._target)
        self.welcome = self.getresp()

    def getline(self) -> str:
        line = super().getline()
        self._said += len(line) + 2
        if self._said > _TALK:
            raise ConnectionError("the server talks without end")
        return line

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = super().ntransfercmd(cmd, rest)
        return self._kept(connection), size

    def makepasv(self) -> tuple[str, int]:
        assert self.sock is not None
        _, port = super().makepasv()
        if port < 1024:
            raise ConnectionError(f"the server sends us to port {port}")
        return self.sock.getpeername()[0], port

    def _kept(self, connection: socket.socket) -> socket.socket:
        connection.settimeout(SECONDS)
        self._sockets.append(connection)
        if self._late:
            raise TimeoutError("its time was up")
        return connection

    def close(self) -> None:
        super().close()
        for connection in self._sockets:
            connection.close()

    def cut(self) -> None:
        """Let go whoever reads; may be called from another thread."""
        self._late = True
        for connection in self._sockets:
            with suppress(OSError):  # it may be closed
                connection.shutdown(socket.SHUT_RDWR)
