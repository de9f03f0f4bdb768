"""Free TCP ports."""

import random
import socket

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
