import pytest

from pcb_bus.durable.fullness import Fullness


def levels(steps: list[tuple[float, str | None]]) -> list[str]:
    fullness = Fullness()
    alerts = [fullness.see(fill, fault) for fill, fault in steps]
    return [alert.level for alert in alerts if alert is not None]


def test_a_person_hears_of_it_long_before_it_is_full_and_when_it_is_over() -> None:
    filling = [(percent / 100, None) for percent in range(101)]
    emptying = filling[::-1]
    assert levels([*filling, (1.0, "the outbox is full")]) == ["warning", "error", "critical"]
    assert levels([*filling, *emptying]) == ["warning", "error", "info"]


def test_a_fill_that_wavers_is_told_once() -> None:
    assert levels([(0.5, None), (0.45, None), (0.55, None), (0.41, None), (0.5, None)]) == ["warning"]


@pytest.mark.parametrize("fill", [0.0, 0.6, 0.95])
def test_a_failing_disk_is_critical_at_any_fill(fill: float) -> None:
    fullness = Fullness()
    alert = fullness.see(fill, "disk is full")
    assert alert is not None
    assert (alert.level, fullness.detail) == ("critical", "the outbox takes no more")
    assert fullness.see(fill, "disk is full") is None


def test_the_detail_follows() -> None:
    fullness = Fullness()
    details = []
    for fill in (0.0, 0.5, 0.9, 0.7, 0.3):
        fullness.see(fill, None)
        details.append(fullness.detail)
    assert details == ["", "the outbox is half full", "the outbox is nearly full", "the outbox is half full", ""]
