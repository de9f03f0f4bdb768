"""An edge whose camera's driver never comes back: `python hanging_edge.py --side left …`."""

import sys
import threading
from typing import NoReturn

from edge_publisher.service import EdgeService
from edge_publisher.settings import EdgeLineSettings, node_name
from edge_publisher.sources import Picture
from pcb_bus.runtime.process import run_service


class Deaf:
    """A source that blocks for ever, and does not notice that it is closed."""

    def read(self) -> Picture:
        never: NoReturn = threading.Event().wait()  # type: ignore[assignment]
        return never

    def close(self) -> None:
        pass


if __name__ == "__main__":
    sys.exit(run_service(EdgeLineSettings, lambda settings: EdgeService(settings, Deaf), node_name, program="edge"))
