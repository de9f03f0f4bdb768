"""TCP ports of the loopback interface: free ones, and those that a program is to open."""

import random
import socket
import time

# Below the range out of which the kernel takes the ports of outgoing connections.
CANDIDATES = range(20_000, 32_000)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(CANDIDATES)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until_open(port: int, timeout: float = 10.0) -> None:
    """Wait until a program listens on the port.

    Raises:
        TimeoutError: none does.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens on port {port} after {timeout:g} s") from None
            time.sleep(0.02)
