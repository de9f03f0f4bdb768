"""How long to wait before trying again."""

from pcb_bus.runtime.backoff import Backoff


def test_backoff_doubles_with_jitter_up_to_its_limit() -> None:
    backoff = Backoff(1.0, 10.0)
    delays = [backoff.next_s() for _ in range(50)]
    for delay, full in zip(delays, [1, 2, 4, 8, *[10] * 46], strict=True):
        assert full / 2 <= delay <= full
    backoff.reset()
    assert backoff.next_s() <= 1
