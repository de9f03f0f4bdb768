"""The intake: acknowledged is what is on the disk, or a picture that there is no room for."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from support.peer import until
from support.ports import free_port

from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings
from recorder.intake import Delivered, Intake
from recorder.spool import Arrival, Kind, Spool


@pytest.fixture
def service() -> Iterator[Service]:
    """One without a broker."""
    service = Service("recorder", "recorder", LineSettings(broker=BrokerSettings(port=free_port())))
    yield service
    service.stop()


@pytest.fixture
def open_spool(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    opened: list[Spool] = []

    def make(rows: int = 1000, megabytes: int = 16) -> Spool:
        opened.append(Spool(tmp_path / "spool.db", rows, megabytes))
        return opened[-1]

    yield make
    for spool in opened:
        spool.close()


class Broker:
    """What it delivered, and which of it was acknowledged."""

    def __init__(self, service: Service, spool: Spool, batch_size: int = 10) -> None:
        self.inbox: Inbox[Delivered] = Inbox(10_000)
        self.acknowledged: list[int] = []
        self.on_disk_at: list[int] = []
        self.spool = spool
        self.intake = Intake(service, self.inbox, spool, batch_size, 0.0, lambda: None)
        self.thread = threading.Thread(target=self.intake.run, daemon=True)

    def deliver(self, *numbers: int, kind: Kind = "verdict", size: int = 10) -> None:
        for number in numbers:
            arrival = Arrival(kind, f"pcb/{kind}", b"x" * size, number)
            self.inbox.put(Delivered(arrival, partial(self._acknowledge, number)))

    def finish(self) -> None:
        """All that was delivered is taken in."""
        self.intake.stop()
        if not self.thread.is_alive():
            self.thread.start()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def _acknowledge(self, number: int) -> None:
        self.acknowledged.append(number)
        self.on_disk_at.append(len(self.spool))


def waiting(spool: Spool) -> list[int]:
    return [each.arrival.received_at for each in spool.oldest(10_000)]


def test_what_is_acknowledged_is_on_the_disk_in_its_order(service: Service, open_spool: Callable[..., Spool]) -> None:
    broker = Broker(service, open_spool())
    broker.deliver(*range(35))
    broker.finish()
    assert waiting(broker.spool) == broker.acknowledged == list(range(35))
    assert broker.on_disk_at == [10] * 10 + [20] * 10 + [30] * 10 + [35] * 5, "one commit for each batch"


def test_what_a_full_spool_does_not_take_waits_unacknowledged_until_there_is_room(
    service: Service, open_spool: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.intake._ROOM_S", 0.01)
    broker = Broker(service, open_spool(rows=4))
    broker.deliver(*range(10))
    broker.thread.start()
    until(lambda: service.health["spool"] == "spool: the spool is full")
    assert broker.acknowledged == waiting(broker.spool) == [0, 1, 2, 3]
    taken: list[int] = []
    while len(taken) < 10:
        found = broker.spool.oldest(3)
        taken += [each.arrival.received_at for each in found]
        broker.spool.done(found)
    assert (taken, broker.acknowledged) == (list(range(10)), list(range(10)))
    broker.finish()
    assert service.health["spool"] == ""


def test_in_a_hurry_it_leaves_what_the_spool_does_not_take_to_the_broker(
    service: Service, open_spool: Callable[..., Spool]
) -> None:
    broker = Broker(service, open_spool(rows=4))
    broker.deliver(*range(10))
    broker.intake.hurry()
    broker.finish()
    assert broker.acknowledged == waiting(broker.spool) == [0, 1, 2, 3]


def test_a_disk_that_fails_acknowledges_nothing(service: Service, open_spool: Callable[..., Spool]) -> None:
    spool = open_spool()
    spool._db.execute(f"PRAGMA max_page_count = {spool._db.execute('PRAGMA page_count').fetchone()[0]}")
    broker = Broker(service, spool)
    broker.deliver(1, size=100_000)
    broker.intake.hurry()
    broker.finish()
    assert (broker.acknowledged, waiting(spool)) == ([], [])
    assert "disk is full" in service.health["spool"]


def dropped() -> float:
    labels = {"kind": "evidence", "reason": "spool_full"}
    return REGISTRY.get_sample_value("boardline_messages_dropped_total", labels) or 0.0


def test_pictures_that_fill_half_of_the_spool_leave_the_rest_to_verdicts(
    service: Service, open_spool: Callable[..., Spool], caplog: pytest.LogCaptureFixture
) -> None:
    before = dropped()
    broker = Broker(service, open_spool(), batch_size=1)
    broker.deliver(*range(5), kind="evidence", size=3 * 2**20)
    broker.deliver(5, 6)
    broker.finish()
    assert broker.acknowledged == [0, 1, 2, 3, 4, 5, 6]
    assert waiting(broker.spool)[:2] == [0, 1]
    assert (len(broker.spool), dropped() - before) == (5, 2)
    assert any("half of the spool is pictures" in each.getMessage() for each in caplog.records)
