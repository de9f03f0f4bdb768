"""How long the engine was busy while a board was under way."""

from inference_subscriber.busy import BusyLog


def test_only_what_lies_within_counts() -> None:
    busy = BusyLog()
    for started_at, ended_at in [(0, 10), (20, 30), (40, 60)]:
        busy.add(started_at, ended_at)
    assert busy.within(5, 50) == 5 + 10 + 10
    assert busy.within(60, 70) == 0


def test_memory_is_bounded() -> None:
    busy = BusyLog(runs=2)
    for start in range(5):
        busy.add(10 * start, 10 * start + 1)
    assert busy.within(0, 100) == 2
