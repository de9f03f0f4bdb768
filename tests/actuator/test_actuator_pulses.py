"""Pulses on a clock that the test turns; and real, short ones on mock pins, whose states carry their times."""

import itertools
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st
from support.gate_station import WatchedGate
from support.peer import until

from actuator.gates import close_all, open_gates
from actuator.pulses import Clock, Pulse, PulseResult, Pulses, SafeState
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.errors import CommandFailed
from pcb_bus.runtime.pins import PinFault

PIN = 22
RETRY = 100 * NS_PER_MS
GROUPS = {22: "arm", 27: "arm"}


def pulse(verdict_id: str, due: int, duration: int = 100, pin: int = 22, expires: int | None = None) -> Pulse:
    return Pulse(due, due + 1000 if expires is None else expires, verdict_id, pin, duration)


class Bench:
    """Gates whose pulses begin and end when the test says so."""

    def __init__(self, groups: dict[int, str] | None = None, pins: tuple[int, ...] = (17, 22, 27)) -> None:
        self.now = 0
        self.gates = {pin: WatchedGate() for pin in pins}
        self.told: list[tuple[str, str]] = []
        self.faults: list[tuple[int, str]] = []
        self.pulses = Pulses(
            dict(self.gates),
            lambda result: self.told.append((result.pulse.verdict_id, result.outcome)),
            lambda pin, fault: self.faults.append((pin, fault)),
            groups=groups,
            clock=Clock(lambda: self.now, lambda: self.now),
        )

    def add(self, *pulses: Pulse) -> None:
        for each in pulses:
            self.pulses.add(each)

    def at(self, now: int) -> list[int]:
        """Which pins are high then."""
        self.now = now
        with self.pulses._changed:
            self.pulses._step()
        return self.high

    @property
    def high(self) -> list[int]:
        return [pin for pin, gate in self.gates.items() if gate.is_on]

    @property
    def next_at(self) -> int | None:
        """When the thread would wake."""
        seconds = self.pulses._seconds_to_next()
        return None if seconds is None else self.now + round(seconds * NS_PER_S)

    @property
    def fired(self) -> list[str]:
        return [verdict_id for verdict_id, outcome in self.told if outcome == "fired"]


def test_one_pulse_begins_and_ends() -> None:
    bench = Bench()
    bench.add(pulse("a", due=10))
    assert (bench.at(9), bench.next_at) == ([], 10)
    assert (bench.at(10), bench.next_at) == ([22], 110)
    assert bench.at(109) == [22]
    assert (bench.at(110), bench.next_at) == ([], None)
    assert bench.told == [("a", "fired")]


def test_a_pulse_that_is_due_begins_on_the_spot() -> None:
    bench = Bench()
    bench.add(pulse("a", due=0))
    assert bench.high == [22]


def test_overlapping_pulses_become_one_that_cuts_neither_short() -> None:
    bench = Bench()
    bench.add(pulse("long", due=0, duration=500), pulse("short", due=100, duration=50), pulse("last", due=450))
    assert [bench.at(now) for now in (0, 100, 150, 450, 500, 549)] == [[22]] * 6
    assert bench.at(550) == []


def test_a_pulse_that_begins_as_another_ends_has_its_full_time() -> None:
    bench = Bench()
    bench.add(pulse("a", due=0), pulse("b", due=100))
    assert [bench.at(now) for now in (0, 100, 199, 200)] == [[22], [22], [22], []]


def test_pins_do_not_mix() -> None:
    bench = Bench()
    bench.add(pulse("a", due=0, pin=22, duration=100), pulse("b", due=0, pin=27, duration=200))
    assert [bench.at(now) for now in (0, 100, 200)] == [[22, 27], [27], []]


def test_a_pulse_whose_moment_has_passed_does_not_fire() -> None:
    bench = Bench()
    bench.add(pulse("a", due=10, expires=30))
    assert (bench.at(31), bench.next_at, bench.told) == ([], None, [("a", "late")])


def test_exclusive_pins_take_turns_the_earliest_due_first() -> None:
    bench = Bench(GROUPS)
    bench.add(pulse("a", due=1), pulse("b", due=10, pin=27), pulse("c", due=20), pulse("d", due=5, pin=17))
    assert (bench.at(20), bench.fired, bench.next_at) == ([17, 22], ["a", "d"], 120)
    assert (bench.at(120), bench.fired[2:]) == ([27], ["b"])
    assert (bench.at(220), bench.fired[3:]) == ([22], ["c"])


def test_a_pulse_that_could_not_begin_in_time_any_more_is_late_at_once() -> None:
    bench = Bench(GROUPS)
    bench.add(pulse("a", due=0), pulse("b", due=10, pin=27, expires=99))
    bench.at(10)
    assert bench.told == [("a", "fired"), ("b", "late")]


def test_a_group_whose_owner_failed_is_free_for_the_next() -> None:
    bench = Bench(GROUPS)
    bench.gates[22].broken = True
    bench.add(pulse("a", due=0))
    bench.gates[22].broken = False
    bench.add(pulse("b", due=0, pin=27, expires=RETRY))
    assert bench.at(RETRY) == [27]
    assert bench.told == [("a", "rejected"), ("b", "fired")]


def test_a_pin_that_does_not_go_off_blocks_its_group_until_it_does() -> None:
    bench = Bench(GROUPS)
    bench.add(pulse("a", due=0), pulse("b", due=100, pin=27, expires=10 * RETRY))
    bench.gates[22].broken = True
    assert bench.at(100) == [22]
    assert bench.next_at == 100 + RETRY
    bench.gates[22].broken = False
    assert bench.at(101) == [22]
    assert bench.at(100 + RETRY) == [27]
    assert bench.faults == [(22, "no such pin"), (22, "")]


def test_a_fault_is_told_once_and_its_end_once_the_pin_does_all_again() -> None:
    bench = Bench()
    bench.gates[22].broken = True
    bench.add(pulse("a", due=0))
    for step in range(1, 5):
        bench.at(step * RETRY)
    bench.gates[22].broken = False
    bench.at(5 * RETRY)
    assert bench.faults == [(22, "no such pin")]
    bench.add(pulse("b", due=5 * RETRY))
    assert bench.faults == [(22, "no such pin"), (22, "")]
    assert bench.told == [("a", "rejected"), ("b", "fired")]


def test_a_held_pin_stays_high_until_it_is_released_and_has_its_group_alone() -> None:
    bench = Bench(GROUPS)
    bench.add(pulse("before", due=0, pin=27))
    bench.pulses.go_safe(SafeState(held=22))
    assert bench.at(10) == [27]
    assert bench.at(100) == [22]
    bench.add(pulse("behind", due=100, pin=27))
    assert bench.told == [("before", "fired"), ("behind", "late")]
    bench.add(pulse("on it", due=200))
    assert [bench.at(now) for now in (200, 300)] == [[22], [22]]
    bench.add(pulse("at last", due=350))
    bench.at(350)
    bench.now = 400
    bench.pulses.go_safe(SafeState())
    assert [bench.at(now) for now in (449, 450)] == [[22], []]


def no_such_pin() -> bool:
    raise PinFault("no such pin")


def test_a_held_pin_that_failed_during_a_pulse_is_held_again() -> None:
    bench = Bench()
    bench.pulses.go_safe(SafeState(held=22))
    bench.gates[22].others = no_such_pin
    bench.add(pulse("on it", due=0))
    assert bench.high == []
    bench.gates[22].others = lambda: False
    assert bench.at(2 * RETRY) == [22]
    bench.pulses.go_safe(SafeState())
    assert bench.at(3 * RETRY) == []


def test_a_held_pin_obeys_whoever_disarms() -> None:
    bench = Bench()
    bench.pulses.go_safe(SafeState(held=22))
    assert bench.high == [22]
    bench.pulses.disarm()
    assert bench.high == []
    bench.pulses.arm(asked_at=1)
    assert bench.high == [22]


def test_nothing_begins_while_the_line_is_away() -> None:
    bench = Bench()
    bench.add(pulse("runs", due=0), pulse("waits", due=50))
    bench.pulses.go_safe(SafeState(paused=True))
    assert bench.high == []
    bench.add(pulse("meanwhile", due=0))
    bench.pulses.go_safe(SafeState())
    assert bench.at(60) == []
    assert bench.told == [("runs", "fired"), ("waits", "disarmed"), ("meanwhile", "disarmed")]


def test_what_was_asked_before_a_disarm_is_refused_after_it() -> None:
    bench = Bench()
    bench.now = 10
    bench.pulses.disarm()
    with pytest.raises(CommandFailed, match="disarmed after this was asked"):
        bench.pulses.arm(9)
    with pytest.raises(CommandFailed, match="disarmed after this was asked"):
        bench.pulses.test(22, 100, 9)
    assert bench.high == []
    bench.pulses.test(22, 100, 10)
    assert bench.high == [22]


def test_an_open_interlock_counts_as_a_disarm() -> None:
    bench = Bench()
    bench.now = 10
    bench.pulses.set_interlock(is_open=True)
    with pytest.raises(CommandFailed, match="interlock is open"):
        bench.pulses.arm(11)
    bench.pulses.set_interlock(is_open=False)
    with pytest.raises(CommandFailed, match="disarmed after this was asked"):
        bench.pulses.arm(9)
    assert not bench.pulses.ready
    bench.pulses.arm(11)
    assert bench.pulses.ready


@given(
    pulses=st.lists(
        st.tuples(st.integers(0, 1000), st.integers(1, 300), st.integers(0, 4), st.integers(0, 600)), max_size=30
    ),
    steps=st.lists(st.integers(1, 50), max_size=100),
)
def test_exclusive_pins_are_never_high_together_and_no_pulse_is_forgotten(
    pulses: list[tuple[int, int, int, int]], steps: list[int]
) -> None:
    bench = Bench({0: "a", 1: "a", 2: "b", 3: "b"}, pins=(0, 1, 2, 3, 4))
    for number, (due, duration, pin, slack) in enumerate(pulses):
        bench.add(Pulse(due, due + slack, str(number), pin, duration))
    while bench.next_at is not None:
        began = len(bench.told)
        high = bench.at(max(bench.now + (steps.pop() if steps else 1), bench.next_at if not steps else 0))
        for verdict_id, outcome in bench.told[began:]:
            assert outcome == "late" or bench.now <= pulses[int(verdict_id)][0] + pulses[int(verdict_id)][3]
        assert len({0, 1} & set(high)) <= 1
        assert len({2, 3} & set(high)) <= 1
    assert sorted(verdict_id for verdict_id, _ in bench.told) == sorted(str(number) for number in range(len(pulses)))
    assert bench.high == []


@given(
    pulses=st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 300), st.integers(0, 3)), max_size=30),
    steps=st.lists(st.integers(1, 50), max_size=100),
)
def test_every_pulse_gets_its_full_time_and_every_pin_ends_low(
    pulses: list[tuple[int, int, int]], steps: list[int]
) -> None:
    bench, until_at = Bench(pins=(0, 1, 2, 3)), dict[int, int]()
    for number, (due, duration, pin) in enumerate(pulses):
        bench.add(Pulse(due, due + 10_000, str(number), pin, duration))
    for step in [0, *steps, *[50] * 40]:
        began = len(bench.told)
        high = bench.at(bench.now + step)
        for verdict_id, outcome in bench.told[began:]:
            _, duration, pin = pulses[int(verdict_id)]
            until_at[pin] = max(until_at.get(pin, 0), bench.now + duration)
            assert outcome == "fired"
        assert set(high) >= {pin for pin, end in until_at.items() if end > bench.now}
    assert len(bench.told) == len(pulses)
    assert (bench.high, bench.next_at) == ([], None)


@dataclass
class RealBench:
    """The thread that times the pins, on mock pins."""

    pins: MockFactory
    pulses: Pulses
    results: "queue.Queue[PulseResult]" = field(default_factory=queue.Queue)

    def pulse(self, verdict_id: str, after_ms: float = 0, duration_ms: float = 30, good_for_ms: float = 5000) -> None:
        due = time.monotonic_ns() + round(after_ms * NS_PER_MS)
        self.pulses.add(
            Pulse(due, due + round(good_for_ms * NS_PER_MS), verdict_id, PIN, round(duration_ms * NS_PER_MS))
        )

    def result(self) -> tuple[str, str]:
        result = self.results.get(timeout=5)
        return result.pulse.verdict_id, result.outcome

    def history(self) -> list[bool]:
        return [state.state for state in self.pins.pin(PIN).states]

    def high_ms(self) -> list[float]:
        """How long each high was: a state's time is that since the one before."""
        states = self.pins.pin(PIN).states
        return [after.timestamp * 1000 for before, after in itertools.pairwise(states) if before.state]


@pytest.fixture
def real(pins: MockFactory) -> Iterator[RealBench]:
    gates = open_gates([PIN], pins, active_low=False)
    results: queue.Queue[PulseResult] = queue.Queue()
    pulses = Pulses(gates, results.put)
    pulses.start()
    yield RealBench(pins, pulses, results)
    pulses.stop()
    close_all(gates)


def test_a_real_pin_is_high_once_for_its_time(real: RealBench) -> None:
    real.pulse("a", duration_ms=40)
    assert real.result() == ("a", "fired")
    until(lambda: real.history() == [False, True, False])
    assert real.high_ms()[0] >= 39.9


def test_overlapping_real_pulses_are_one_and_the_longer_stands(real: RealBench) -> None:
    real.pulse("long", duration_ms=80)
    real.pulse("short", after_ms=10, duration_ms=10)
    assert [real.result(), real.result()] == [("long", "fired"), ("short", "fired")]
    until(lambda: len(real.history()) == 3)
    assert real.high_ms()[0] >= 79.9


def test_a_scheduled_pulse_waits_for_its_moment(real: RealBench) -> None:
    before = time.monotonic_ns()
    real.pulse("a", after_ms=60)
    result = real.results.get(timeout=5)
    assert result.outcome == "fired"
    assert result.monotonic - before >= 60 * NS_PER_MS


def test_disarm_switches_off_at_once_and_cancels_what_waits(real: RealBench) -> None:
    real.pulse("running", duration_ms=10_000)
    assert real.result() == ("running", "fired")
    real.pulse("waiting", after_ms=10_000)
    real.pulses.disarm()
    assert real.history() == [False, True, False]
    assert real.result() == ("waiting", "disarmed")
    real.pulse("after")
    assert real.result() == ("after", "disarmed")
    real.pulses.arm(time.monotonic_ns())
    real.pulse("again")
    assert real.result() == ("again", "fired")


def test_stop_lets_a_running_pulse_end_and_begins_no_more(real: RealBench) -> None:
    real.pulse("running", duration_ms=50)
    assert real.result() == ("running", "fired")
    real.pulse("waiting", after_ms=10)
    real.pulses.stop(grace_s=20)
    assert real.result() == ("waiting", "disarmed")
    assert real.history() == [False, True, False]
    assert real.high_ms()[0] >= 49.9
    with pytest.raises(CommandFailed, match="the actuator stops"):
        real.pulses.arm(time.monotonic_ns())
    assert not real.pulses.ready


def test_stop_does_not_wait_for_ever(real: RealBench) -> None:
    real.pulse("running", duration_ms=60_000)
    assert real.result() == ("running", "fired")
    real.pulses.stop(grace_s=0.02)
    assert real.history() == [False, True, False]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_every_pin_goes_off_when_the_thread_dies(pins: MockFactory) -> None:
    gates = open_gates([PIN], pins, active_low=False)
    fired: queue.Queue[str] = queue.Queue()

    def on_result(result: PulseResult) -> None:
        fired.put(result.pulse.verdict_id)
        raise RuntimeError("a fault in the thread that times the pins")

    pulses = Pulses(gates, on_result)
    pulses.start()
    due = time.monotonic_ns() + 20 * NS_PER_MS  # later: begun by the thread
    pulses.add(Pulse(due, due + 5 * NS_PER_S, "a", PIN, 60 * NS_PER_S))
    assert fired.get(timeout=5) == "a"
    until(lambda: [state.state for state in pins.pin(PIN).states] == [False, True, False])
    pulses.stop()
    close_all(gates)
