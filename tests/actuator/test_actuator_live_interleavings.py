"""The real service at a real broker, its threads and all: any order of what may happen to it, its disk and its line."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.gate_line import GateLine, HungDisk
from support.gate_station import WatchedGate
from support.peer import until

from actuator.ledger import Ledger
from actuator.pulses import PulseResult
from actuator.service import ActuatorService
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Category, Recorded, Trigger, Unreported, UnreportedVerdict, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import Pace

MakeVerdict = Callable[..., Verdict]
HOUR_MS = 3_600_000
CATEGORIES: tuple[Category, ...] = (
    "scrap",
    "solder",
    "component",
    "solder",
    "scrap",
    "normal",
    "unjudged",
    "component",
)
GATES: dict[str, dict[str, Any]] = {
    "scrap": {"pin": 22, "duration_ms": 20},
    "solder": {"pin": 27, "duration_ms": 30, "gate_delay_ms": 60, "exclusive": "arm"},
    "component": {"pin": 17, "duration_ms": 20, "exclusive": "arm"},
}
BOARDS = st.tuples(
    st.sampled_from(["seen", "seen", "seen", "verdict", "verdict", "retained", "corrupt", "unreported", "recorded"]),
    st.integers(0, len(CATEGORIES) - 1),
)
OTHERS = st.tuples(
    st.sampled_from(
        [
            *("arm", "arm", "disarm", "test", "open", "close", "offline", "online", "cut", "restart"),
            *("disk fails", "disk works", "disk hangs", "disk goes on", "settle"),
        ]
    ),
    st.just(0),
)


@dataclass
class Fired:
    """A pulse that began, and whether it might."""

    result: PulseResult
    ready: bool


@dataclass
class Live:
    """One station through one story. Its files are its own; broker and clients stay."""

    line: GateLine
    folder: Path
    make_verdict: MakeVerdict
    fired: list[Fired] = field(default_factory=list)
    heard: int = 0

    def __post_init__(self) -> None:
        arm = {17: 27, 27: 17}
        self.gates = {pin: WatchedGate() for pin in (17, 22, 27)}
        for pin, other in arm.items():
            self.gates[pin].others = lambda other=other: self.gates[other].is_on  # type: ignore[misc]
        self.line.watched, self.line.gates = dict(self.gates), GATES
        self.line.pace = Pace(after_ns=200 * NS_PER_MS, gap_ns=20 * NS_PER_MS)
        self.line.actuator = {
            "ledger": self.folder / "ledger.db",
            "outbox": self.folder / "outbox.db",
            "max_lag_ms": 2000,
            "safe_state": {"mode": "stop", "after_ms": 200},
        }
        self.line.contact_closed = True
        self.verdicts = [self._verdict(number) for number in range(len(CATEGORIES))]
        self.heard = len(self.line.viewer.received("pcb/actuation"))
        self._running = ExitStack()
        self._hung: HungDisk | None = None

    def _verdict(self, number: int) -> tuple[Trigger, Verdict]:
        at = (now_ns() // NS_PER_MS + (number % 3 - 1) * HOUR_MS) * NS_PER_MS
        trigger = Trigger(board_id=f"{self.folder.name} {number}", triggered_at=at, source=f"eye {number}", age_ms=0.0)
        return trigger, self.make_verdict(category=CATEGORIES[number], good_for_ms=20_000, trigger=trigger)

    @contextmanager
    def told(self) -> Iterator[None]:
        """From the start to the end of the story: all is mended, every thread has done its work, every pin is off."""
        self.line.say_inference("online")
        self.start()
        with ExitStack() as end:
            end.callback(self._running.close)
            yield
            self.mend()
        assert not any(gate.is_on for gate in self.gates.values())

    def start(self) -> None:
        self.service: ActuatorService = self._running.enter_context(self.line.running())
        tell = self.service._pulses._on_result

        def note(result: PulseResult) -> None:
            if result.outcome == "fired":
                self.fired.append(Fired(result, self.service._pulses.ready))
            tell(result)

        self.service._pulses._on_result = note

    def mend(self) -> None:
        self.go_on()
        self.refuse_writes("OFF")
        self.line.set_contact(closed=True)
        assert self.service.wait_connected(10)
        self.line.say_inference("online")
        for _ in range(2):
            self.settle()
        until(lambda: not self.service._verdicts._under_way and not self.service._verdicts._in_mind)
        until(lambda: self.service._verdicts._recovered)

    def settle(self) -> None:
        """The worker does what waits for it, unless it hangs."""
        if self._hung is None:
            done = threading.Event()
            self.service._worker.do(done.set)
            assert done.wait(10)

    # What may happen

    def happen(self, what: str, number: int) -> None:
        trigger, verdict = self.verdicts[number]
        actions: dict[str, Callable[[], object]] = {
            "seen": lambda: self.see(trigger, verdict),
            "verdict": lambda: self.line.publish(verdict),
            "retained": lambda: self.line.publish(verdict, retain=True),
            "corrupt": lambda: self.line.publish(
                encode_json(verdict).replace(b'"confidence":0.9', b'"confidence":NaN')
            ),
            "unreported": lambda: self.line.recorder.publish("pcb/unreported", unreported(verdict)),
            "recorded": lambda: self.line.recorder.publish(
                "pcb/recorded", encode_json(Recorded(actuations=(verdict.verdict_id,)))
            ),
            "arm": lambda: self.line.send("arm"),
            "disarm": lambda: self.line.send("disarm"),
            "test": lambda: self.line.send("test_pulse", params={"category": "component"}),
            "open": lambda: self.line.set_contact(closed=False),
            "close": lambda: self.line.set_contact(closed=True),
            "offline": lambda: self.line.say_inference("offline"),
            "online": lambda: self.line.say_inference("online"),
            "cut": self.service._service.session.reconnect,
            "restart": self.restart,
            "disk fails": lambda: self.refuse_writes("ON"),
            "disk works": lambda: self.refuse_writes("OFF"),
            "disk hangs": self.hang,
            "disk goes on": self.go_on,
            "settle": self.settle,
        }
        actions[what]()

    def see(self, trigger: Trigger, verdict: Verdict) -> None:
        self.line.say(trigger)
        self.line.publish(verdict)

    def restart(self) -> None:
        """With nothing in mind alone: what no disk has is forgotten at a stop, and is told of while it lasts."""
        if self.service._verdicts._in_mind:
            self.go_on()
        self.refuse_writes("OFF")
        until(lambda: not self.service._verdicts._in_mind)
        self._running.close()
        assert not any(gate.is_on for gate in self.gates.values())
        self.go_on()
        self.line.contact_closed = not self.line.pins.pin(5).state
        self.start()

    def refuse_writes(self, refuse: str) -> None:
        if self._hung is None:
            for part in (self.service._ledger, self.service._outbox):
                part._db.execute(f"PRAGMA query_only = {refuse}")

    def hang(self) -> None:
        ledger: Any = self.service._ledger
        if self._hung is None:
            self._hung = ledger._db = HungDisk(ledger._db)

    def go_on(self) -> None:
        if self._hung is not None:
            self._hung.goes_on.set()
            self._hung = None


def unreported(verdict: Verdict) -> bytes:
    named = UnreportedVerdict(verdict_id=verdict.verdict_id, board_id=verdict.board_id, category=verdict.category)
    return encode_json(Unreported(verdicts=(named,)))


def check(live: Live) -> None:
    own: dict[str, set[str]] = {}
    for report in live.line.reports(live.heard)[live.heard :]:
        own.setdefault(report.verdict_id, set()).update({report.outcome} - {"duplicate"})
    begun = [each.result.pulse.verdict_id for each in live.fired]
    assert not any(gate.broke_rule for gate in live.gates.values()), "exclusive gates were on together"
    assert len(begun) == len(set(begun)), "fired twice"
    assert all(each.ready for each in live.fired), "fired while disarmed"
    assert all(each.result.monotonic >= each.result.pulse.due for each in live.fired), "fired early"
    assert all(len(outcomes) <= 1 for outcomes in own.values()), own
    ledger, outbox = Ledger(live.folder / "ledger.db"), Outbox(live.folder / "outbox.db")
    assert ledger.firing() == {}
    assert all(outbox.knows(verdict_id) for verdict_id in begun), "a pulse without a report"
    assert all(outbox.knows(verdict_id) for verdict_id, outcomes in own.items() if outcomes)
    ledger.close()
    outbox.close()


NUMBERS = iter(range(1000))


@pytest.mark.timeout(300)
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # threads take another way each time: there is nothing to shrink
    suppress_health_check=list(HealthCheck),
)
@given(story=st.lists(st.one_of(BOARDS, BOARDS, OTHERS), min_size=15, max_size=40))
def test_no_verdict_fires_twice_early_or_disarmed_and_each_has_one_outcome(
    story: list[tuple[str, int]], line: GateLine, tmp_path: Path, make_verdict: MakeVerdict
) -> None:
    folder = tmp_path / f"story-{next(NUMBERS)}"
    live = Live(line, folder, make_verdict)
    with live.told():
        for what, number in story:
            live.happen(what, number)
    check(live)
