"""How many threads a step uses."""

from __future__ import annotations

from collections import Counter

from training.pace import Pace


def threads_used(pace: Pace, seconds: dict[int, float], steps: int) -> Counter[int]:
    used: Counter[int] = Counter()
    for _ in range(steps):
        threads = pace.next_threads()
        pace.report(threads, seconds[threads])
        used[threads] += 1
    return used


def test_a_quiet_machine_uses_all_threads() -> None:
    assert threads_used(Pace(4), {1: 4.0, 4: 1.0}, 100)[4] > 85


def test_beside_a_busy_core_one_thread_is_enough() -> None:
    assert threads_used(Pace(2), {1: 1.0, 2: 3.0}, 100)[1] > 85


def test_the_choice_follows_a_change() -> None:
    pace = Pace(2)
    threads_used(pace, {1: 1.0, 2: 3.0}, 60)
    threads_used(pace, {1: 1.0, 2: 0.5}, 60)
    assert threads_used(pace, {1: 1.0, 2: 0.5}, 60)[2] > 45


def test_a_single_core_has_no_choice() -> None:
    assert threads_used(Pace(1), {1: 1.0}, 30) == {1: 30}
