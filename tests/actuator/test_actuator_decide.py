from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.decide import Circumstances, GatePlan, Rules, decide, outcome_unheard
from pcb_bus.contract.messages import Category, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S

MakeVerdict = Callable[..., Verdict]
NOW = 1_800_000_000 * NS_PER_S
MONOTONIC = 5000 * NS_PER_S
DELAY = 3 * NS_PER_S
SCRAP = GatePlan(pin=22, duration_ns=500 * NS_PER_MS)
DOWNSTREAM = GatePlan(pin=27, duration_ns=400 * NS_PER_MS, delay_ns=DELAY)
RULES = Rules(
    {"scrap": SCRAP, "solder": DOWNSTREAM},
    max_future_ns=60 * NS_PER_S,
    clock_tolerance_ns=500 * NS_PER_MS,
    max_lag_ns=20 * NS_PER_MS,
)
AT = Circumstances(NOW, MONOTONIC)


def test_a_fresh_verdict_fires_at_once_with_the_stations_own_pin(make_verdict: MakeVerdict) -> None:
    decision = decide(make_verdict(at=NOW), AT, RULES)
    assert decision.outcome == "fired"
    assert decision.pulse is not None
    assert (decision.pulse.pin, decision.pulse.duration_ns) == (22, SCRAP.duration_ns)
    assert (decision.pulse.due, decision.pulse.expires) == (MONOTONIC, MONOTONIC + 2 * NS_PER_S)


@pytest.mark.parametrize("hours_off", [-1, 0, 1])
def test_a_gate_downstream_counts_from_the_trigger_whatever_the_camera_says(
    hours_off: int, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict(category="solder", at=NOW)
    verdict = verdict.model_copy(update={"captured_at": verdict.captured_at + hours_off * 3600 * NS_PER_S})
    pulse = decide(verdict, replace(AT, triggered=MONOTONIC - 70), RULES).pulse
    assert pulse is not None
    assert (pulse.due, pulse.expires) == (MONOTONIC - 70 + DELAY, MONOTONIC - 70 + DELAY + RULES.max_lag_ns)


def test_a_gate_downstream_stays_silent_without_a_trigger(make_verdict: MakeVerdict) -> None:
    decision = decide(make_verdict(category="solder", at=NOW), AT, RULES)
    assert (decision.outcome, decision.pulse) == ("rejected", None)
    assert "trigger" in decision.reason


@pytest.mark.parametrize(
    ("circumstances", "outcome"),
    [
        (replace(AT, seen=True), "duplicate"),
        (replace(AT, retained=True), "retained"),
        (replace(AT, seen=True, retained=True), "duplicate"),
        (replace(AT, armed=False), "disarmed"),
        (replace(AT, full=True), "rejected"),
        (replace(AT, now=NOW + 2 * NS_PER_S + 1), "late"),
        (replace(AT, now=NOW - NS_PER_S), "rejected"),
    ],
)
def test_refuses(circumstances: Circumstances, outcome: str, make_verdict: MakeVerdict) -> None:
    decision = decide(make_verdict(at=NOW), circumstances, RULES)
    assert (decision.outcome, decision.pulse) == (outcome, None)
    assert decision.reason


@pytest.mark.parametrize(("category", "outcome"), [("unjudged", "unjudged"), ("normal", "no_gate")])
def test_what_has_no_gate_is_no_fault(category: Category, outcome: str, make_verdict: MakeVerdict) -> None:
    for circumstances in (AT, replace(AT, armed=False), replace(AT, now=NOW + 10**12), replace(AT, full=True)):
        assert decide(make_verdict(category=category, at=NOW), circumstances, RULES).outcome == outcome


def test_a_normal_board_of_which_a_side_is_unknown_is_doubt(make_verdict: MakeVerdict) -> None:
    rules = replace(RULES, gates={"normal": GatePlan(23, 300 * NS_PER_MS), "scrap": SCRAP})
    for category, outcome in (("normal", "rejected"), ("scrap", "fired")):
        seen_in_part = make_verdict(category=category, at=NOW).model_copy(update={"status": "incomplete"})
        assert decide(seen_in_part, AT, rules).outcome == outcome
    assert decide(make_verdict(category="normal", at=NOW), AT, rules).outcome == "fired"


def test_a_deadline_far_in_the_future_is_doubt(make_verdict: MakeVerdict) -> None:
    assert decide(make_verdict(at=NOW, good_for_ms=60_001), AT, RULES).outcome == "rejected"
    assert decide(make_verdict(at=NOW, good_for_ms=60_000), AT, RULES).outcome == "fired"


def test_clocks_may_differ_a_little(make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(at=NOW)
    assert decide(verdict, replace(AT, now=NOW - 500 * NS_PER_MS), RULES).outcome == "fired"
    assert decide(verdict, replace(AT, now=NOW - 501 * NS_PER_MS), RULES).outcome == "rejected"


def test_a_corrected_clock_is_late_as_soon_as_it_may_be(make_verdict: MakeVerdict) -> None:
    verdict, unsure = make_verdict(at=NOW), replace(AT, doubt=100 * NS_PER_MS)
    pulse = decide(verdict, replace(unsure, now=NOW + 1900 * NS_PER_MS), RULES).pulse
    assert pulse is not None
    assert pulse.expires == MONOTONIC
    assert decide(verdict, replace(unsure, now=NOW + 1900 * NS_PER_MS + 1), RULES).outcome == "late"


def test_a_board_that_has_passed_its_gate_is_late(make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(category="solder", at=NOW, good_for_ms=10_000)
    passed = replace(AT, triggered=MONOTONIC - DELAY - 20 * NS_PER_MS)
    assert decide(verdict, passed, RULES).outcome == "fired"
    assert decide(verdict, replace(passed, monotonic=MONOTONIC + 1), RULES).outcome == "late"


def test_what_was_never_heard_of_is_late() -> None:
    assert [outcome_unheard(each) for each in ("scrap", "normal", "unjudged")] == ["late", "late", "unjudged"]


@given(
    judged=st.integers(NOW - 100 * NS_PER_S, NOW + 100 * NS_PER_S),
    good_for_ms=st.floats(-1000, 120_000),
    category=st.sampled_from(["normal", "component", "solder", "scrap", "unjudged"]),
    at=st.builds(
        Circumstances,
        st.just(NOW),
        st.just(MONOTONIC),
        *[st.booleans()] * 4,
        triggered=st.none() | st.integers(MONOTONIC - 10 * NS_PER_S, MONOTONIC),
        doubt=st.integers(0, 100 * NS_PER_S),
    ),
)
def test_never_fires_in_doubt(
    judged: int, good_for_ms: float, category: Category, at: Circumstances, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict(category=category, at=judged, good_for_ms=good_for_ms)
    decision = decide(verdict, at, RULES)
    assert (decision.outcome == "fired") == (decision.pulse is not None)
    if decision.pulse is not None:
        assert at.armed
        assert (at.seen, at.retained, at.full) == (False, False, False)
        assert verdict.deadline_at >= NOW + at.doubt
        assert decision.pulse.pin == RULES.gates[category].pin
        assert at.monotonic <= decision.pulse.expires <= at.monotonic + 61 * NS_PER_S
        assert category == "scrap" or at.triggered is not None
