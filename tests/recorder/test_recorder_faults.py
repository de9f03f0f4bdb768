"""What is done now and then: the failure of one thing harms no other, and each is tried again."""

from collections.abc import Iterator

import pytest
from support.peer import until
from support.ports import free_port

from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings
from recorder.faults import careful, show
from records.errors import DatabaseDown


@pytest.fixture
def service() -> Iterator[Service]:
    """One without a broker."""
    service = Service("recorder", "recorder", LineSettings(broker=BrokerSettings(port=free_port())))
    yield service
    service.stop()


@pytest.mark.parametrize("failure", [DatabaseDown("away"), OSError("no disk"), ZeroDivisionError("ours")])
def test_what_fails_harms_nothing_else_and_is_done_again(
    service: Service, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    tried, done = [], []

    def fail() -> None:
        tried.append(1)
        raise failure

    service.every(0.01, careful(service, "one", fail))
    service.every(0.01, careful(service, "other", lambda: done.append(1)))
    service.start()
    until(lambda: len(tried) > 2 and len(done) > 2)
    told = {each.getMessage() for each in caplog.records if each.getMessage().startswith("one: ")}
    assert told == (set() if isinstance(failure, ZeroDivisionError) else {f"one: {failure}"})


def test_the_node_is_degraded_as_long_as_a_part_has_a_fault_with_one_event_each_way(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(service, "event", lambda level, message, **_: told.append((level, message)))
    for part, fault in (("images", ""), ("images", "no disk"), ("database", "away"), ("images", "no room")):
        show(service, part, fault, "critical" if part == "images" else "error")
    assert str(service.health) == "images: no room; database: away"
    for part in ("images", "database", "images"):
        show(service, part, "")
    assert str(service.health) == ""
    assert told == [
        ("critical", "the recorder's images fails"),
        ("error", "the recorder's database fails"),
        ("info", "the recorder's images works again"),
        ("info", "the recorder's database works again"),
    ]
