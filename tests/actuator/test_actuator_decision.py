from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.decision import Circumstances, GatePlan, Rules, decide, decide_missed
from pcb_bus.contract.messages import Category, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S

MakeVerdict = Callable[..., Verdict]
NOW = 1_800_000_000 * NS_PER_S
SCRAP = GatePlan(pin=22, duration_ns=500 * NS_PER_MS)
DOWNSTREAM = GatePlan(pin=27, duration_ns=500 * NS_PER_MS, delay_ns=3 * NS_PER_S)
RULES = Rules(
    {"scrap": SCRAP, "solder": DOWNSTREAM},
    max_future_ns=60 * NS_PER_S,
    clock_tolerance_ns=500 * NS_PER_MS,
    max_lag_ns=20 * NS_PER_MS,
)


def at(now: int = NOW, *, retained: bool = False, seen: bool = False, armed: bool = True) -> Circumstances:
    return Circumstances(now, retained, seen, armed)


def test_fresh_verdict_fires_at_once_with_the_stations_own_pin(make_verdict: MakeVerdict) -> None:
    decision = decide(make_verdict(at=NOW), at(), RULES)
    assert decision.outcome == "fired"
    assert decision.shot is not None
    assert (decision.shot.gate, decision.shot.due, decision.shot.expires) == (SCRAP, NOW, NOW + 2 * NS_PER_S)


def test_gate_downstream_fires_its_delay_after_the_capture(make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(category="solder", at=NOW)
    shot = decide(verdict, at(NOW + NS_PER_S), RULES).shot
    assert shot is not None
    assert shot.due == verdict.captured_at + 3 * NS_PER_S
    assert shot.expires == shot.due + 20 * NS_PER_MS


@pytest.mark.parametrize(
    ("circumstances", "outcome"),
    [
        (at(seen=True), "duplicate"),
        (at(retained=True), "retained"),
        (at(seen=True, retained=True), "duplicate"),
        (at(armed=False), "disarmed"),
        (at(NOW + 2 * NS_PER_S + 1), "late"),
        (at(NOW - NS_PER_S), "rejected"),
    ],
)
def test_refuses(circumstances: Circumstances, outcome: str, make_verdict: MakeVerdict) -> None:
    decision = decide(make_verdict(at=NOW), circumstances, RULES)
    assert (decision.outcome, decision.shot) == (outcome, None)
    assert decision.reason


@pytest.mark.parametrize(("category", "outcome"), [("unjudged", "unjudged"), ("normal", "rejected")])
def test_no_gate_for_what_has_none(category: Category, outcome: str, make_verdict: MakeVerdict) -> None:
    assert decide(make_verdict(category=category, at=NOW), at(), RULES).outcome == outcome


def test_a_normal_board_of_which_a_side_is_unknown_is_doubt(make_verdict: MakeVerdict) -> None:
    rules = replace(RULES, gates={"normal": GatePlan(23, 300 * NS_PER_MS), "scrap": GatePlan(22, 500 * NS_PER_MS)})
    for category, outcome in (("normal", "rejected"), ("scrap", "fired")):
        seen_in_part = make_verdict(category=category, at=NOW).model_copy(update={"status": "incomplete"})
        assert decide(seen_in_part, at(), rules).outcome == outcome
    assert decide(make_verdict(category="normal", at=NOW), at(), rules).outcome == "fired"


def test_deadline_far_in_the_future_is_doubt(make_verdict: MakeVerdict) -> None:
    assert decide(make_verdict(at=NOW, good_for_ms=60_001), at(), RULES).outcome == "rejected"
    assert decide(make_verdict(at=NOW, good_for_ms=60_000), at(), RULES).outcome == "fired"


def test_clocks_may_differ_a_little(make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(at=NOW)
    assert decide(verdict, at(NOW - 500 * NS_PER_MS), RULES).outcome == "fired"
    assert decide(verdict, at(NOW - 501 * NS_PER_MS), RULES).outcome == "rejected"


def test_capture_in_the_future_is_doubt(make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(at=NOW).model_copy(update={"captured_at": NOW + NS_PER_S})
    assert decide(verdict, at(), RULES).outcome == "rejected"


def test_board_that_has_passed_its_gate_is_late(make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(category="solder", at=NOW, good_for_ms=10_000)
    passed = verdict.captured_at + 3 * NS_PER_S + 20 * NS_PER_MS
    assert decide(verdict, at(passed), RULES).outcome == "fired"
    assert decide(verdict, at(passed + 1), RULES).outcome == "late"


@pytest.mark.parametrize(
    ("category", "retained", "outcome"),
    [("scrap", False, "late"), ("unjudged", False, "unjudged"), ("scrap", True, "retained")],
)
def test_missed_verdict(category: Category, retained: bool, outcome: str, make_verdict: MakeVerdict) -> None:
    decision = decide_missed(make_verdict(category=category), retained=retained)
    assert (decision.outcome, decision.shot) == (outcome, None)


@given(
    judged=st.integers(NOW - 100 * NS_PER_S, NOW + 100 * NS_PER_S),
    good_for_ms=st.floats(-1000, 120_000),
    category=st.sampled_from(["normal", "component", "solder", "scrap", "unjudged"]),
    circumstances=st.builds(Circumstances, st.just(NOW), st.booleans(), st.booleans(), st.booleans()),
)
def test_never_fires_in_doubt(
    judged: int, good_for_ms: float, category: Category, circumstances: Circumstances, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict(category=category, at=judged, good_for_ms=good_for_ms)
    decision = decide(verdict, circumstances, RULES)
    assert (decision.outcome == "fired") == (decision.shot is not None)
    if decision.shot is not None:
        assert circumstances.armed
        assert not circumstances.seen
        assert not circumstances.retained
        assert verdict.deadline_at >= NOW
        assert decision.shot.gate is RULES.gates[category]
        assert decision.shot.expires >= NOW
