"""The errors of this room.

pcb_bus.errors.BrokerError
 ├─ MosquittoMissing  (FileNotFoundError)  the program is not installed
 ├─ PortTaken                              another program listens on the port
 └─ BrokerDied                             Mosquitto ended, or is not ready in time; the message has its last words
"""

from pcb_bus.errors import BrokerError


class MosquittoMissing(BrokerError, FileNotFoundError):
    """Mosquitto is not installed."""


class PortTaken(BrokerError):
    """Another program listens on a port that the broker needs."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use")
        self.port = port


class BrokerDied(BrokerError):
    """Mosquitto ended by itself, or is not ready in time."""
