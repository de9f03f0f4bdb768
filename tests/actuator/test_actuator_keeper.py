"""Keeper, auditor and reporter on a real ledger, with a clock that the test turns: any order of things that happen."""

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actuator.auditor import HOLD_NS, Auditor
from actuator.clock import Clock
from actuator.decision import GatePlan, Rules
from actuator.driver import PulseResult
from actuator.keeper import Keeper
from actuator.ledger import Ledger
from actuator.pulses import Pulse, PulsePlan
from actuator.reading import Broken
from actuator.reporter import OnAnswer, Reporter
from pcb_bus.clock import NS_PER_MS, NS_PER_S
from pcb_bus.codec import decode_json, encode_json
from pcb_bus.messages import Actuation, Verdict
from pcb_bus.resends import Resends
from pcb_bus.session import Delivery

MakeVerdict = Callable[..., Verdict]
START = 1_800_000_000 * NS_PER_S
RULES = Rules(
    {"scrap": GatePlan(22, 500 * NS_PER_MS), "solder": GatePlan(27, 500 * NS_PER_MS, delay_ns=NS_PER_S)},
    max_future_ns=60 * NS_PER_S,
    clock_tolerance_ns=500 * NS_PER_MS,
    max_lag_ns=20 * NS_PER_MS,
)


@dataclass
class Bench:
    """A station without threads: time passes, pulses begin and answers come when the test says so."""

    path: Path
    now: int = START
    monotonic: int = 0
    armed: bool = True
    room: int | None = None
    begun: list[tuple[str, int]] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    resent: list[bytes] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    acknowledged: Counter[str] = field(default_factory=Counter)
    _answers: list[OnAnswer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._assemble()

    def _assemble(self) -> None:
        clock = Clock(lambda: self.now, lambda: self.monotonic)
        self.plan = PulsePlan()
        self.ledger = Ledger(self.path)
        self.reporter = Reporter(self.ledger, self._publish, lambda task: task())
        self.keeper = Keeper(RULES, self.ledger, self, self.reporter, self.broken.append, clock)
        self.auditor = Auditor(self.ledger, self.reporter, clock)
        self.resends = Resends(self.ledger, self._publish_again)

    def _publish(self, payload: bytes, on_answer: OnAnswer) -> bool:
        if self.room is not None and len(self._answers) >= self.room:
            return False
        self.published.append(payload)
        self._answers.append(on_answer)
        return True

    def _publish_again(self, payload: bytes, on_answer: OnAnswer) -> bool:
        self.resent.append(payload)
        on_answer(True)
        return True

    def add(self, pulse: Pulse) -> None:
        self.plan.add(pulse)

    def step(self, *, tell: bool = True) -> None:
        """What the driver's thread would do at this moment; without `tell`, what it did just before a crash."""
        due = self.plan.take_due(self.monotonic)
        for pulse in due.begin:
            self.begun.append((pulse.verdict_id, self.now))
            self.plan.began(pulse, self.monotonic)
            if tell:
                self.keeper.pulsed(PulseResult(pulse.verdict_id, "fired", self.now))
        if not tell:
            return
        for pulse in due.missed:
            self.keeper.pulsed(PulseResult(pulse.verdict_id, "late", self.now))

    def pass_time(self, ms: int) -> None:
        self.now += ms * NS_PER_MS
        self.monotonic += ms * NS_PER_MS

    def answer(self, accepted: bool = True) -> None:
        answers, self._answers = self._answers, []
        for on_answer in answers:
            on_answer(accepted)

    def record(self) -> None:
        """The recorder names all that was published."""
        self.reporter.named([report.verdict_id for report in self.reports])
        self.reporter.flush()
        self.resends.heard(self.monotonic)

    def resend(self) -> None:
        """Let enough time pass for what waits to go out again."""
        for _ in range(50):
            self.pass_time(100)
            self.resends.tick(self.monotonic)

    def crash(self) -> None:
        """As kill -9 would: nothing is finished, and what the broker has not answered stays open."""
        self.ledger.close()
        self._answers.clear()
        self._assemble()
        for kept in self.ledger.recover():
            self.reporter.publish(kept.payload)

    def gate(self, payload: bytes, *, retain: bool = False) -> None:
        self.keeper.judge(self._delivery(payload, "gate", retain))

    def audit(self, payload: bytes, *, retain: bool = False) -> None:
        self.auditor.hear(self._delivery(payload, "audit", retain))

    def _delivery(self, payload: bytes, session: str, retain: bool) -> Delivery:
        def ack() -> None:
            self.acknowledged[session] += 1

        return Delivery("pcb/verdict", payload, retain, self.now, None, None, ack)

    @property
    def reports(self) -> list[Actuation]:
        return [decode_json(Actuation, payload) for payload in self.published]

    @property
    def outcomes(self) -> list[str]:
        return [report.outcome for report in self.reports]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "ledger.db")


def test_report_of_a_pulse(bench: Bench, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(at=START)))
    assert bench.published == []
    bench.pass_time(3)
    bench.step()
    (report,) = bench.reports
    assert (report.outcome, report.pin, report.duration_ms, report.latency_ms) == ("fired", 22, 500, 53.0)
    assert report.fired_at == START + 3 * NS_PER_MS


def test_verdict_is_on_disk_before_its_pin_goes_high(bench: Bench, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(at=START)))
    assert (bench.begun, bench.ledger.knows("v1")) == ([], True)


def test_repeat_fires_nothing_and_says_so(bench: Bench, make_verdict: MakeVerdict) -> None:
    payload = encode_json(make_verdict(at=START))
    for _ in range(2):
        bench.gate(payload)
        bench.step()
    assert (len(bench.begun), bench.outcomes) == (1, ["fired", "duplicate"])


def test_repeat_while_the_first_is_under_way_is_told_of_after_it(bench: Bench, make_verdict: MakeVerdict) -> None:
    payload = encode_json(make_verdict(category="solder", at=START))
    for _ in range(3):
        bench.gate(payload)
    assert bench.published == []
    bench.pass_time(950)
    bench.step()
    assert bench.outcomes == ["fired", "duplicate", "duplicate"]


def test_verdict_that_grew_late_on_a_slow_disk_does_not_fire(bench: Bench, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(at=START, good_for_ms=100)))
    bench.pass_time(101)
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["late"])


def test_clock_set_back_while_a_pulse_waits_does_not_move_it(bench: Bench, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(category="solder", at=START)))
    bench.now -= 3600 * NS_PER_S
    bench.pass_time(949)
    bench.step()
    assert bench.begun == []
    bench.pass_time(1)
    bench.step()
    assert len(bench.begun) == 1


def test_crash_between_ledger_and_pin_is_silent_and_reported(bench: Bench, make_verdict: MakeVerdict) -> None:
    payload = encode_json(make_verdict(at=START))
    bench.gate(payload)
    bench.crash()
    bench.step()
    bench.gate(payload)
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["late", "duplicate"])


def test_report_that_is_not_recorded_goes_out_again_the_same_also_after_a_crash(
    bench: Bench, make_verdict: MakeVerdict
) -> None:
    bench.gate(encode_json(make_verdict(at=START)))
    bench.step()
    bench.answer()
    bench.resend()
    assert set(bench.resent) == set(bench.published)
    bench.resent.clear()
    bench.crash()
    bench.resend()
    assert set(bench.resent) == set(bench.published)
    assert len(bench.published) == 1
    bench.record()
    bench.resent.clear()
    bench.resend()
    bench.crash()
    bench.resend()
    assert bench.resent == []


def test_refused_report_is_said_again(bench: Bench, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(at=START)))
    bench.step()
    bench.reporter.retry(bench.monotonic)
    assert len(bench.published) == 1
    bench.answer(accepted=False)
    bench.reporter.retry(bench.monotonic)
    assert len(bench.published) == 2


def test_reports_that_found_no_room_follow_as_soon_as_there_is_some(bench: Bench, make_verdict: MakeVerdict) -> None:
    bench.room = 7
    for number in range(20):
        bench.audit(encode_json(make_verdict(f"v{number}", at=START)))
    bench.pass_time(2000)
    bench.auditor.settle()
    assert len(bench.published) == 7
    for _ in range(9):
        bench.answer()
        bench.pass_time(500)
        bench.reporter.retry(bench.monotonic)
    assert Counter(bench.outcomes) == {"late": 20}


def test_a_report_that_the_broker_refuses_is_not_said_all_the_time(bench: Bench, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(at=START)))
    bench.step()
    for _ in range(8):
        bench.answer(accepted=False)
        bench.pass_time(500)
        bench.reporter.retry(bench.monotonic)
    assert 2 <= len(bench.published) <= 4


def test_broken_verdict_with_ids_is_rejected_once(bench: Bench) -> None:
    payload = b'{"v": 1, "verdict_id": "x", "board_id": "b", "category": "golden"}'
    bench.gate(payload)
    bench.audit(payload)
    bench.gate(payload)
    bench.pass_time(2000)
    bench.auditor.settle()
    assert bench.outcomes == ["rejected", "duplicate"]
    assert bench.acknowledged["audit"] == 1
    assert len(bench.broken) == 2


def test_unreadable_payload_is_counted_and_nothing_else(bench: Bench) -> None:
    bench.gate(b"\xff\xd8")
    bench.audit(b"\xff\xd8")
    bench.pass_time(2000)
    bench.auditor.settle()
    assert (bench.published, len(bench.broken), bench.acknowledged["audit"]) == ([], 1, 1)


@pytest.mark.parametrize(("category", "outcome"), [("scrap", "late"), ("unjudged", "unjudged")])
def test_what_the_gates_never_heard_of_is_reported(
    category: str, outcome: str, bench: Bench, make_verdict: MakeVerdict
) -> None:
    bench.audit(encode_json(make_verdict(category=category, at=START)))
    bench.pass_time(HOLD_NS // NS_PER_MS - 1)
    bench.auditor.settle()
    assert (bench.published, bench.acknowledged["audit"]) == ([], 0)
    bench.pass_time(1)
    bench.auditor.settle()
    assert (bench.outcomes, bench.acknowledged["audit"]) == ([outcome], 1)
    bench.gate(encode_json(make_verdict(category=category, at=START)))
    assert bench.begun == []


def test_many_missed_verdicts_are_settled_in_turns(bench: Bench, make_verdict: MakeVerdict) -> None:
    for number in range(50):
        bench.audit(encode_json(make_verdict(f"v{number}", at=START)))
    bench.pass_time(2000)
    assert [bench.auditor.settle() > 0 for _ in range(3)] == [False, False, True]
    assert (bench.outcomes, bench.acknowledged["audit"]) == (["late"] * 50, 50)


def test_audit_of_what_the_gates_handled_is_silent(bench: Bench, make_verdict: MakeVerdict) -> None:
    payload = encode_json(make_verdict(at=START))
    bench.audit(payload)
    bench.gate(payload)
    bench.audit(payload)
    bench.step()
    bench.pass_time(2000)
    bench.auditor.settle()
    assert (bench.outcomes, bench.acknowledged["audit"]) == (["fired"], 2)


VERDICTS = st.tuples(
    st.integers(0, 5), st.sampled_from(["scrap", "solder", "normal", "unjudged"]), st.sampled_from([50, 1500, 90_000])
)
DELIVERIES = st.tuples(st.sampled_from(["gate", "gate", "audit", "retained", "corrupt"]), st.integers(0, 5))
HAPPENINGS = st.one_of(
    DELIVERIES,
    st.tuples(st.just("pass"), st.sampled_from([1, 40, 400, 2500])),
    st.tuples(st.just("jump"), st.sampled_from([-5000, -400, 300, 5000])),
    st.tuples(
        st.sampled_from(["step", "answer", "refuse", "settle", "retry", "record", "resend", "arm", "disarm"]),
        st.just(0),
    ),
    st.tuples(st.sampled_from(["crash", "crash with a pin high"]), st.just(0)),
)


def happen(bench: Bench, what: str, value: int, payloads: list[bytes]) -> str | None:
    """Let one thing happen; returns the id of the verdict that it delivered."""
    plain: dict[str, Callable[[], object]] = {
        "step": bench.step,
        "settle": bench.auditor.settle,
        "answer": bench.answer,
        "retry": lambda: bench.reporter.retry(bench.monotonic),
        "record": bench.record,
        "resend": bench.resend,
        "crash": bench.crash,
    }
    if what in plain:
        plain[what]()
        return None
    match what:
        case "pass":
            bench.pass_time(value)
        case "jump":
            bench.now += value * NS_PER_MS
        case "crash with a pin high":
            bench.step(tell=False)
            bench.crash()
        case "refuse":
            bench.answer(accepted=False)
        case "arm" | "disarm":
            bench.armed = what == "arm"
        case _:
            deliver(bench, what, payloads[value])
            return f"v{value}"
    return None


def deliver(bench: Bench, what: str, payload: bytes) -> None:
    if what == "audit":
        bench.audit(payload)
    elif what == "corrupt":
        bench.gate(payload.replace(b'"confidence":0.9', b'"confidence":NaN'))
    else:
        bench.gate(payload, retain=what == "retained")


@settings(max_examples=100, deadline=None)
@given(kinds=st.lists(VERDICTS, min_size=6, max_size=6), happenings=st.lists(HAPPENINGS, max_size=40))
def test_whatever_happens_no_verdict_fires_twice_none_late_and_each_is_reported_once(
    kinds: list[tuple[int, str, int]], happenings: list[tuple[str, int]], make_verdict: MakeVerdict
) -> None:
    verdicts = [
        make_verdict(f"v{number}", category, START + 100 * offset * NS_PER_MS, good_for_ms)
        for number, (offset, category, good_for_ms) in enumerate(kinds)
    ]
    payloads = [encode_json(verdict) for verdict in verdicts]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "ledger.db")
        delivered = {happen(bench, what, value, payloads) for what, value in happenings} - {None}
        settle_everything(bench)
    check_reported_once(bench, delivered, heard_only_before_a_crash(happenings))
    check_fired_once(bench, [what for what, _ in happenings])
    if not any(what == "jump" for what, _ in happenings):
        check_never_late(bench, {verdict.verdict_id: verdict for verdict in verdicts})


def settle_everything(bench: Bench) -> None:
    for _ in range(3):
        bench.pass_time(4000)
        bench.step()
        bench.auditor.settle()
    bench.answer()
    bench.crash()
    bench.resend()
    bench.ledger.close()


def check_reported_once(bench: Bench, delivered: set[str | None], redelivered_later: set[str]) -> None:
    assert set(bench.resent) <= set(bench.published)
    own = {report.verdict_id: set[bytes]() for report in bench.reports}
    for payload, report in zip(bench.published, bench.reports, strict=True):
        if report.outcome != "duplicate":
            own[report.verdict_id].add(payload)
    assert all(len(different) == 1 for different in own.values())
    firsts = {report.verdict_id: report.outcome for report in reversed(bench.reports)}
    assert "duplicate" not in firsts.values()
    assert delivered - redelivered_later <= own.keys() <= delivered


def check_fired_once(bench: Bench, happened: list[str]) -> None:
    begun = [verdict_id for verdict_id, _ in bench.begun]
    fired = {report.verdict_id for report in bench.reports if report.outcome == "fired"}
    assert len(begun) == len(set(begun))
    assert fired <= set(begun)
    if "crash with a pin high" not in happened:
        assert fired == set(begun)


def check_never_late(bench: Bench, verdicts: dict[str, Verdict]) -> None:
    for verdict_id, at in bench.begun:
        verdict = verdicts[verdict_id]
        downstream = verdict.captured_at + 1020 * NS_PER_MS
        assert at <= (downstream if verdict.category == "solder" else verdict.deadline_at)


def heard_only_before_a_crash(happenings: list[tuple[str, int]]) -> set[str]:
    """Verdicts that only the audit session may have held in a crash: unacknowledged, they would come again."""
    crashes = [index for index, (what, _) in enumerate(happenings) if what.startswith("crash")]
    last = crashes[-1] if crashes else 0
    return {f"v{value}" for what, value in happenings[:last] if what == "audit"}
