"""Real, short pulses on gpiozero's mock pins, whose states carry their times."""

import itertools
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from gpiozero.pins.mock import MockFactory

from actuator.driver import PulseDriver, PulseResult
from actuator.gates import GateBank
from actuator.pulses import Pulse
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S

PIN = 22


@dataclass
class Bench:
    pins: MockFactory
    bank: GateBank
    driver: PulseDriver
    results: "queue.Queue[PulseResult]" = field(default_factory=queue.Queue)

    def pulse(self, verdict_id: str, after_ms: float = 0, duration_ms: float = 30, good_for_ms: float = 5000) -> None:
        due = time.monotonic_ns() + round(after_ms * NS_PER_MS)
        self.driver.add(
            Pulse(due, due + round(good_for_ms * NS_PER_MS), verdict_id, PIN, round(duration_ms * NS_PER_MS))
        )

    def result(self) -> tuple[str, str]:
        result = self.results.get(timeout=5)
        return result.verdict_id, result.outcome

    def history(self) -> list[bool]:
        return [state.state for state in self.pins.pin(PIN).states]

    def high_ms(self) -> list[float]:
        """How long each high was: a state's time is that since the one before."""
        states = self.pins.pin(PIN).states
        return [after.timestamp * 1000 for before, after in itertools.pairwise(states) if before.state]


@pytest.fixture
def bench(pins: MockFactory) -> Iterator[Bench]:
    bank = GateBank([PIN], pins, active_low=False)
    results: queue.Queue[PulseResult] = queue.Queue()
    driver = PulseDriver(bank.by_pin, results.put)
    driver.start()
    yield Bench(pins, bank, driver, results)
    driver.stop()
    bank.close()


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_pin_is_high_once_for_its_time(bench: Bench) -> None:
    bench.pulse("a", duration_ms=40)
    assert bench.result() == ("a", "fired")
    wait_for(lambda: bench.history() == [False, True, False])
    (high,) = bench.high_ms()
    assert 39.9 <= high < 90


def test_overlapping_pulses_are_one_and_the_longer_stands(bench: Bench) -> None:
    bench.pulse("long", duration_ms=80)
    bench.pulse("short", after_ms=10, duration_ms=10)
    assert [bench.result(), bench.result()] == [("long", "fired"), ("short", "fired")]
    wait_for(lambda: len(bench.history()) == 3)
    assert bench.high_ms()[0] >= 79.9


def test_scheduled_pulse_waits_for_its_moment(bench: Bench) -> None:
    before = time.monotonic()
    bench.pulse("a", after_ms=60)
    assert bench.result() == ("a", "fired")
    assert time.monotonic() - before >= 0.0599


def test_pulse_past_its_moment_does_not_fire(bench: Bench) -> None:
    bench.pulse("a", after_ms=-100, good_for_ms=50)
    assert bench.result() == ("a", "late")
    assert bench.history() == [False]


def test_disarm_switches_off_at_once_and_cancels_what_waits(bench: Bench) -> None:
    bench.pulse("running", duration_ms=10_000)
    assert bench.result() == ("running", "fired")
    bench.pulse("waiting", after_ms=10_000)
    bench.driver.disarm()
    assert bench.history() == [False, True, False]
    assert bench.result() == ("waiting", "disarmed")
    bench.pulse("after")
    assert bench.result() == ("after", "disarmed")
    bench.driver.arm()
    bench.pulse("again")
    assert bench.result() == ("again", "fired")


def test_stop_lets_a_running_pulse_end_and_begins_no_more(bench: Bench) -> None:
    bench.pulse("running", duration_ms=50)
    assert bench.result() == ("running", "fired")
    bench.pulse("waiting", after_ms=10)
    bench.driver.stop()
    assert bench.result() == ("waiting", "disarmed")
    assert bench.history() == [False, True, False]
    assert bench.high_ms()[0] >= 49.9
    bench.driver.arm()
    assert not bench.driver.ready


def test_stop_does_not_wait_for_ever(bench: Bench) -> None:
    bench.pulse("running", duration_ms=60_000)
    assert bench.result() == ("running", "fired")
    bench.driver.stop(grace_s=0.02)
    assert bench.history() == [False, True, False]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_every_pin_goes_off_when_the_thread_dies(pins: MockFactory) -> None:
    bank = GateBank([PIN], pins, active_low=False)
    fired: queue.Queue[str] = queue.Queue()

    def on_result(result: PulseResult) -> None:
        fired.put(result.verdict_id)
        raise RuntimeError("a fault in the thread that times the pins")

    driver = PulseDriver(bank.by_pin, on_result)
    driver.start()
    now = time.monotonic_ns() + 20 * NS_PER_MS  # due later: begun by the thread
    driver.add(Pulse(now, now + NS_PER_S, "a", PIN, NS_PER_S))
    assert fired.get(timeout=5) == "a"
    wait_for(lambda: [state.state for state in pins.pin(PIN).states] == [False, True, False])
    driver.stop()
    bank.close()
