"""May this verdict fire a gate? Pure: knows neither MQTT nor clocks nor hardware.

Never act on doubt: everything but a fresh, first-seen, unretained verdict with a gate of its own is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from actuator.pulses import Pulse
from pcb_bus.contract.messages import Outcome, Verdict

TOO_MANY = "too many pulses wait"
NO_TRIGGER = "its trigger was not heard in time, so nobody knows when the board is at the gate"


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What one category does: BCM `pin`, and how long. With `delay_ns` the gate is that far downstream of the cameras.

    Gates of the same `group` are never high together.
    """

    pin: int
    duration_ns: int
    delay_ns: int | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How this station decides. All in ns.

    Args:
        gates: by category; one that is missing has no gate.
        max_future_ns: a deadline further than this after the judgement is nonsense.
        clock_tolerance_ns: how far the clocks of two nodes may differ.
        max_lag_ns: how late a pulse may begin at a gate downstream, before it would hit the next board.
        max_waiting: pulses under way at once.
    """

    gates: Mapping[str, GatePlan]
    max_future_ns: int
    clock_tolerance_ns: int
    max_lag_ns: int
    max_waiting: int = 1000

    @property
    def groups(self) -> dict[int, str]:
        """By pin; one that is missing shares with nobody."""
        return {plan.pin: plan.group for plan in self.gates.values() if plan.group is not None}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known besides the verdict itself.

    Args:
        now: the line's time, ns since the epoch, give or take `doubt`.
        monotonic: the same moment on this Pi's own clock, ns.
        triggered: when the board stood before the cameras, on the same clock; None: nobody knows.
        full: no more pulses may wait.
    """

    now: int
    monotonic: int
    retained: bool = False
    seen: bool = False
    armed: bool = True
    full: bool = False
    triggered: int | None = None
    doubt: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a verdict; `pulse` is there only when it may fire."""

    outcome: Outcome
    reason: str = ""
    pulse: Pulse | None = None


def decide(verdict: Verdict, at: Circumstances, rules: Rules) -> Decision:
    """What a verdict that has just come may do."""
    return next(_refusals(verdict, at, rules), None) or Decision("fired", pulse=_pulse(verdict, at, rules))


def outcome_unheard(category: str) -> Outcome:
    """What a verdict is called that the gates never heard of."""
    return "unjudged" if category == "unjudged" else "late"


def _pulse(verdict: Verdict, at: Circumstances, rules: Rules) -> Pulse | None:
    """None: nobody knows when."""
    gate = rules.gates[verdict.category]
    if gate.delay_ns is None:
        due, expires = at.monotonic, at.monotonic + verdict.deadline_at - at.now - at.doubt
    elif at.triggered is not None:
        due = at.triggered + gate.delay_ns
        expires = due + rules.max_lag_ns
    else:
        return None
    return Pulse(due, expires, verdict.verdict_id, gate.pin, gate.duration_ns)


def _refusals(verdict: Verdict, at: Circumstances, rules: Rules) -> Iterator[Decision]:
    """Every reason not to fire, the most telling one first."""
    if at.seen:
        yield Decision("duplicate", "seen before")
    if at.retained:
        yield Decision("retained", "published as retained")
    if verdict.category == "unjudged":
        yield Decision("unjudged", "the board could not be inspected")
    if verdict.category not in rules.gates:
        yield Decision("no_gate", f"no gate for the category {verdict.category}")
        return
    yield from (Decision("rejected", doubt) for doubt in _doubts(verdict, at.now, rules))
    if at.now + at.doubt > verdict.deadline_at:
        yield Decision("late", "past its deadline")
    pulse = _pulse(verdict, at, rules)
    if pulse is None:
        yield Decision("rejected", NO_TRIGGER)
    elif at.monotonic > pulse.expires:
        yield Decision("late", "the board has passed the gate")
    if not at.armed:
        yield Decision("disarmed", "the gates are disarmed")
    if at.full:
        yield Decision("rejected", TOO_MANY)


def _doubts(verdict: Verdict, now: int, rules: Rules) -> Iterator[str]:
    if verdict.judged_at > now + rules.clock_tolerance_ns:
        yield "judged in the future: the clocks of inference and actuator differ, or it is forged"
    if verdict.deadline_at - verdict.judged_at > rules.max_future_ns:
        yield "its deadline is absurdly far off"
    if verdict.category == "normal" and verdict.status == "incomplete":
        yield "normal, although not every side was seen"
