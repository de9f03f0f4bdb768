"""An edge that looks through a camera in the test's hand."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.hand_fed import HandFed

from broker import Broker
from edge_publisher.service import EdgeService
from edge_publisher.settings import EdgeLineSettings, EdgeSettings
from pcb_bus.runtime.clock import LineClock
from pcb_bus.runtime.settings import BrokerSettings

StartEdge = Callable[..., HandFed]


@pytest.fixture
def start_edge(broker: Broker, tmp_path: Path) -> Iterator[StartEdge]:
    """Starts the left edge with keys of its section; gives its camera."""

    def start(
        sides: tuple[str, ...] = ("left", "right"),
        port: int = broker.port,
        clock: LineClock | None = None,
        **edge: object,
    ) -> HandFed:
        settings = EdgeLineSettings(
            sides=sides,
            broker=BrokerSettings(port=port, credentials=broker.credentials_folder),
            edge=EdgeSettings.model_validate({"side": "left", "outbox": tmp_path / "edge", **edge}),
        )
        camera = HandFed()
        service = EdgeService(settings, camera, clock)
        stack.callback(service.stop)
        service.start()
        return camera

    with ExitStack() as stack:
        yield start
