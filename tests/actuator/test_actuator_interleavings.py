"""Any order of verdicts, triggers, repeats, clock steps, commands, the interlock, crashes and disks that fail."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.gate_station import START, Station

from actuator.pulses import SafeState
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import OutboxFault

MakeVerdict = Callable[..., Verdict]
Happening = tuple[str, int]
MEMORY = Path("/dev/shm")  # where the system has it, files cost no time there
CATEGORIES = ["scrap", "solder", "solder", "component", "component", "normal", "unjudged"]
DELIVERIES = {"gate", "retained", "corrupt"}

KINDS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(CATEGORIES), st.sampled_from([50, 1500, 60_000])),
    min_size=6,
    max_size=6,
)
BOARDS = st.tuples(
    st.sampled_from(["trigger", "trigger", "gate", "gate", "seen", "seen", "retained", "corrupt", "unreported"]),
    st.integers(0, 5),
)
PASSES = st.tuples(st.just("pass"), st.sampled_from([1, 1, 40, 400, 950]))
TIME = st.one_of(
    PASSES,
    PASSES,
    PASSES,
    st.tuples(st.just("jump"), st.sampled_from([-3_600_000, -5000, -400, 300, 5000, 3_600_000])),
)
ACTIONS = st.sampled_from(
    [
        *("turn", "step", "step", "look", "record", "resend", "arm", "stale arm", "disarm", "open", "close", "test"),
        *("pause", "divert", "back", "break pin", "mend pin"),
    ]
)
CRASH = st.tuples(st.just("crash"), st.just(0))
DISK = st.tuples(st.sampled_from(["ledger fails", "outbox fails", "all fails", "all works", "all works"]), st.just(0))


def plain(station: Station) -> dict[str, Callable[[], object]]:
    """What may happen without a value."""
    pulses = station.pulses
    return {
        "turn": station.turn,
        "step": station.step,
        "look": station.look,
        "record": station.record,
        "resend": station.resend,
        "crash": station.crash,
        "arm": lambda: station.ask("arm"),
        "stale arm": lambda: station.ask("arm", asked_at=station.monotonic - 500 * NS_PER_MS),
        "disarm": lambda: station.ask("disarm"),
        "open": lambda: pulses.set_interlock(is_open=True),
        "close": lambda: pulses.set_interlock(is_open=False),
        "test": lambda: station.ask("test_pulse", category="component", duration_ms=200),
        "pause": lambda: pulses.go_safe(SafeState(paused=True)),
        "divert": lambda: pulses.go_safe(SafeState(held=27)),
        "back": lambda: pulses.go_safe(SafeState()),
        "break pin": lambda: setattr(station.gates[22], "broken", True),
        "mend pin": lambda: setattr(station.gates[22], "broken", False),
        "ledger fails": lambda: station.refuse_writes("ledger"),
        "outbox fails": lambda: station.refuse_writes("outbox"),
        "all fails": lambda: station.refuse_writes("ledger", "outbox"),
        "all works": lambda: station.refuse_writes("ledger", "outbox", refuse=False),
    }


def board(number: int, offset: int) -> Trigger:
    """Each has a photo-eye of its own, and all their clocks are wrong."""
    triggered_at = START + (100 * offset + 3_600_000 * (number - 3)) * NS_PER_MS
    return Trigger(board_id=f"b{number}", triggered_at=triggered_at, source=f"eye {number}", age_ms=0.0)


def happen(station: Station, what: str, trigger: Trigger, verdict: Verdict) -> None:
    """One thing that happens to a board."""
    if what in ("trigger", "seen"):
        station.trigger(trigger)
    if what == "unreported":
        station.unreported(verdict)
    elif what == "corrupt":
        station.judge(encode_json(verdict).replace(b'"confidence":0.9', b'"confidence":NaN'))
    elif what != "trigger":
        station.judge(verdict, retain=what == "retained")


def run(
    folder: str, kinds: Sequence[tuple[int, str, int]], happenings: list[Happening], make_verdict: MakeVerdict
) -> Station:
    """Let it all happen, then let everything settle; what must never be is checked on the way."""
    triggers = [board(number, offset) for number, (offset, _, _) in enumerate(kinds)]
    verdicts = [
        make_verdict(category=category, at=START + 100 * offset * NS_PER_MS, good_for_ms=good_for_ms, trigger=trigger)
        for trigger, (offset, category, good_for_ms) in zip(triggers, kinds, strict=True)
    ]
    station, heard_of, deliveries = Station(Path(folder)), set[str](), Counter[str]()
    for what, value in happenings:
        if what == "pass":
            station.pass_time(value)
        elif what == "jump":
            station.now += value * NS_PER_MS
        elif (action := plain(station).get(what)) is not None:
            let(action)
        else:
            happen(station, what, triggers[value], verdicts[value])
            heard_of |= {verdicts[value].verdict_id} if what != "trigger" else set()
            deliveries[verdicts[value].verdict_id] += what in DELIVERIES | {"seen"}
        assert not any(gate.broke_rule for gate in station.gates.values()), "exclusive gates were on together"
    settle_everything(station)
    happened = {what for what, _ in happenings}
    check_outcomes(station, heard_of)
    check_fired(station, crashed="crash" in happened)
    if not happened & {"crash", "unreported"}:
        assert Counter(each.verdict_id for each in station.reports) == +deliveries, "one report for each delivery"
    return station


def let(action: Callable[[], object]) -> None:
    try:
        action()
    except OutboxFault:
        return  # the recorder names what cannot be cleared: it will again


def settle_everything(station: Station) -> None:
    station.refuse_writes("ledger", "outbox", refuse=False)
    station.gates[22].broken = False
    station.pulses.go_safe(SafeState())
    for _ in range(4):
        station.pass_time(4000)
        station.look()
        station.step()
    assert not any(gate.is_on for gate in station.gates.values())
    published = len(station.published)
    station.crash()
    station.resend()
    assert len(station.published) == published, "nothing was left open"


def check_outcomes(station: Station, heard_of: set[str]) -> None:
    own: dict[str, set[bytes]] = {report.verdict_id: set() for report in station.reports}
    for payload, report in zip(station.published, station.reports, strict=True):
        if report.outcome != "duplicate":
            own[report.verdict_id].add(payload)
    assert {verdict_id: len(different) for verdict_id, different in own.items()} == dict.fromkeys(heard_of, 1)
    firsts = {report.verdict_id: report.outcome for report in reversed(station.reports)}
    assert "duplicate" not in firsts.values()
    assert set(station.resent) <= set(station.published)
    assert all(station.outbox.knows(verdict_id) for verdict_id in heard_of)
    station.close()


def check_fired(station: Station, *, crashed: bool) -> None:
    begun = [each.verdict_id for each in station.begun]
    outcomes = {report.verdict_id: report.outcome for report in station.reports if report.outcome != "duplicate"}
    fired = {verdict_id for verdict_id, outcome in outcomes.items() if outcome == "fired"}
    assert len(begun) == len(set(begun)), "fired twice"
    assert all(each.ready for each in station.begun), "fired while disarmed"
    assert all(each.monotonic <= station.limits[each.verdict_id] for each in station.begun), "fired late"
    assert all(each.monotonic >= station.due.get(each.verdict_id, 0) for each in station.begun), "fired early"
    assert fired <= set(begun)
    assert {outcomes[verdict_id] for verdict_id in begun} <= {"fired", *(["unknown"] if crashed else [])}


def run_in_memory(kinds: list[tuple[int, str, int]], happenings: list[Happening], make_verdict: MakeVerdict) -> Station:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        return run(folder, kinds, happenings, make_verdict)


SIX = [(0, "solder", 60_000), (0, "component", 60_000), *[(0, "scrap", 60_000)] * 4]


@pytest.mark.timeout(300)
@settings(max_examples=400, deadline=None)
@example(
    kinds=SIX,
    happenings=[("seen", 0), ("pass", 950), ("step", 0), ("gate", 1), ("step", 0), ("pass", 400), ("step", 0)],
)
@example(kinds=SIX, happenings=[("divert", 0), ("step", 0), ("gate", 1), ("step", 0), ("back", 0), ("step", 0)])
@example(kinds=SIX, happenings=[("gate", 2), ("crash", 0), ("gate", 2), ("unreported", 2)])
@given(
    kinds=KINDS,
    happenings=st.lists(
        st.one_of(BOARDS, BOARDS, TIME, st.tuples(ACTIONS, st.just(0)), CRASH), min_size=5, max_size=40
    ),
)
def test_no_verdict_fires_twice_late_or_disarmed_and_each_has_one_outcome(
    kinds: list[tuple[int, str, int]], happenings: list[Happening], make_verdict: MakeVerdict
) -> None:
    run_in_memory(kinds, happenings, make_verdict)


@pytest.mark.timeout(300)
@settings(max_examples=300, deadline=None)
@given(
    kinds=KINDS,
    happenings=st.lists(st.one_of(BOARDS, BOARDS, TIME, st.tuples(ACTIONS, st.just(0)), DISK), min_size=5, max_size=40),
)
def test_the_same_holds_while_the_disk_fails_now_and_then(
    kinds: list[tuple[int, str, int]], happenings: list[Happening], make_verdict: MakeVerdict
) -> None:
    run_in_memory(kinds, happenings, make_verdict)


def test_the_examples_reach_what_they_are_for(make_verdict: MakeVerdict) -> None:
    """Or the rules above would hold for want of a pulse."""
    downstream = run_in_memory(SIX, [("seen", 0), ("pass", 950), ("pass", 40), ("pass", 10), ("step", 0)], make_verdict)
    assert [each.verdict_id for each in downstream.begun] == list(downstream.due)
