"""The receiving end of what a service tells systemd."""

import socket

from support.peer import WAIT_S

_NO_MORE_S = 0.3  # many times the gap between two signs of life


class Systemd:
    """The receiving end of `NOTIFY_SOCKET`."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)

    def next(self, timeout: float = WAIT_S) -> str:
        self._socket.settimeout(timeout)
        return self._socket.recv(4096).decode()

    def wait_for(self, line: str) -> str:
        while line not in (message := self.next()).splitlines():
            pass
        return message

    def is_silent(self) -> bool:
        """Whether nothing comes any more, once what is on its way has come."""
        try:
            for _ in range(100):
                self.next(_NO_MORE_S)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()
