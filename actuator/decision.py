"""May this verdict fire a gate? Pure: knows neither MQTT nor clocks nor hardware.

Never act on doubt: everything but a fresh, first-seen, unretained verdict with a gate of its own is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pcb_bus.contract.messages import Outcome, Verdict

TOO_MANY = "too many pulses wait"


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What one category does: BCM `pin`, and how long. With `delay_ns` the gate stands that far downstream.

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
    """What is known besides the verdict itself. `now` is ns since the epoch; `full`: no more pulses may wait."""

    now: int
    retained: bool
    seen: bool
    armed: bool
    full: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """A pulse to come: not before `due`, and never begun after `expires` (ns since the epoch)."""

    gate: GatePlan
    due: int
    expires: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a verdict; `shot` is there only when it may fire."""

    outcome: Outcome
    reason: str = ""
    shot: Shot | None = None


def decide(verdict: Verdict, at: Circumstances, rules: Rules) -> Decision:
    """What a verdict that the gate session has just delivered may do."""
    refusal = next(_refusals(verdict, at, rules), None)
    return refusal or Decision("fired", shot=_shot(verdict, rules.gates[verdict.category], at.now, rules))


def decide_missed(verdict: Verdict, *, retained: bool) -> Decision:
    """What a verdict is called that never reached the gate session: fired it is not."""
    if retained:
        return Decision("retained", "published as retained")
    return Decision(missed_outcome(verdict.category), "the gates did not hear of it")


def missed_outcome(category: str) -> Outcome:
    """What a verdict of that category is called if the gates never heard of it."""
    return "unjudged" if category == "unjudged" else "late"


def _shot(verdict: Verdict, gate: GatePlan, now: int, rules: Rules) -> Shot:
    if gate.delay_ns is None:
        return Shot(gate, due=now, expires=verdict.deadline_at)
    due = verdict.captured_at + gate.delay_ns
    return Shot(gate, due=due, expires=due + rules.max_lag_ns)


def _refusals(verdict: Verdict, at: Circumstances, rules: Rules) -> Iterator[Decision]:
    """Every reason not to fire, the most telling one first."""
    if at.seen:
        yield Decision("duplicate", "seen before")
    if at.retained:
        yield Decision("retained", "published as retained")
    if verdict.category == "unjudged":
        yield Decision("unjudged", "the board could not be inspected")
    yield from (Decision("rejected", doubt) for doubt in _doubts(verdict, at.now, rules))
    if at.now > verdict.deadline_at:
        yield Decision("late", "past its deadline")
    gate = rules.gates.get(verdict.category)
    if gate is None:
        yield Decision("rejected", f"no gate for the category {verdict.category}")
    elif at.now > _shot(verdict, gate, at.now, rules).expires:
        yield Decision("late", "the board has passed the gate")
    if not at.armed:
        yield Decision("disarmed", "the gates are disarmed")
    if at.full:
        yield Decision("rejected", TOO_MANY)


def _doubts(verdict: Verdict, now: int, rules: Rules) -> Iterator[str]:
    latest = now + rules.clock_tolerance_ns
    if verdict.judged_at > latest:
        yield "judged in the future: clocks differ, or it is forged"
    if verdict.captured_at > latest:
        yield "captured in the future: clocks differ, or it is forged"
    if verdict.deadline_at - verdict.judged_at > rules.max_future_ns:
        yield "its deadline is absurdly far off"
    if verdict.category == "normal" and verdict.status == "incomplete":
        yield "normal, although not every side was seen"
