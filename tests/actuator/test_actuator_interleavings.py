"""Any order of verdicts, repeats, clock steps, commands, the interlock, crashes and disks that fail."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.gate_station import START, Station

from actuator.driver import SafeState
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Verdict
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import CommandFailed

MakeVerdict = Callable[..., Verdict]
Happening = tuple[str, int]
MEMORY = Path("/dev/shm")  # where the system has it, a ledger costs no time there
CATEGORIES = ["scrap", "solder", "solder", "component", "component", "normal", "unjudged"]

KINDS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(CATEGORIES), st.sampled_from([50, 1500, 90_000])),
    min_size=6,
    max_size=6,
)
DELIVERIES = st.tuples(
    st.sampled_from(["gate", "gate", "gate", "audit", "both", "retained", "corrupt", "account"]), st.integers(0, 5)
)
TIME = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([1, 40, 400, 950, 2500])),
    st.tuples(st.just("jump"), st.sampled_from([-3_600_000, -5000, -400, 300, 5000, 3_600_000])),
)
ACTIONS = st.sampled_from(
    [
        *("turn", "step", "step", "answer", "refuse", "settle", "retry", "record", "resend"),
        *("arm", "disarm", "open", "close", "test", "pause", "divert", "back", "break pin", "mend pin"),
    ]
)
CRASH = st.tuples(st.just("crash"), st.just(0))
DISK = st.tuples(st.sampled_from(["ledger fails", "ledger works", "intents fail", "intents work"]), st.just(0))


def plain(station: Station) -> dict[str, Callable[[], object]]:
    """What may happen without a value."""
    driver = station.driver
    return {
        "turn": station.turn,
        "step": station.step,
        "settle": station.auditor.settle,
        "answer": station.answer,
        "refuse": lambda: station.answer(accepted=False),
        "retry": lambda: station.reporter.retry(station.monotonic),
        "record": station.record,
        "resend": station.resend,
        "crash": station.crash,
        "arm": lambda: command(station, driver.arm),
        "disarm": lambda: command(station, driver.disarm),
        "open": lambda: command(station, lambda: driver.set_interlock(is_open=True)),
        "close": lambda: driver.set_interlock(is_open=False),
        "test": lambda: command(station, lambda: driver.test(17, 400 * NS_PER_MS)),
        "pause": lambda: driver.go_safe(SafeState(paused=True)),
        "divert": lambda: driver.go_safe(SafeState(held=27)),
        "back": lambda: driver.go_safe(SafeState()),
        "break pin": lambda: setattr(station.gates[22], "broken", True),
        "mend pin": lambda: setattr(station.gates[22], "broken", False),
        "ledger fails": lambda: disk(station, "ON"),
        "ledger works": lambda: disk(station, "OFF"),
        "intents fail": lambda: intents(station, Path("/dev/full")),
        "intents work": lambda: intents(station, station.intents_path),
    }


def command(station: Station, action: Callable[[], None]) -> None:
    try:
        action()
    except CommandFailed:
        return
    station.remember_armed()


def disk(station: Station, refuses: str) -> None:
    """SQLite itself refuses every write, as on a disk that turned read-only."""
    station.ledger._db.execute(f"PRAGMA query_only = {refuses}")


def intents(station: Station, path: Path) -> None:
    """The system itself takes no write while they stand in a full place."""
    file = os.open(path, os.O_RDWR)
    os.dup2(file, station.ledger._intents._file)
    os.close(file)


def happen(station: Station, what: str, value: int, verdicts: Sequence[Verdict]) -> str | None:
    """Let one thing happen; returns the id of the verdict that the station has heard of."""
    if what == "pass":
        station.pass_time(value)
    elif what == "jump":
        station.now += value * NS_PER_MS
    elif (action := plain(station).get(what)) is not None:
        action()
    else:
        deliver(station, what, verdicts[value])
        return verdicts[value].verdict_id
    return None


def deliver(station: Station, what: str, verdict: Verdict) -> None:
    payload = encode_json(verdict)
    if what in ("audit", "both"):
        station.audit(payload)
    if what == "account":
        station.account(verdict)
    elif what == "corrupt":
        station.judge(verdict, payload.replace(b'"confidence":0.9', b'"confidence":NaN'))
    elif what != "audit":
        station.judge(verdict, payload, retain=what == "retained")


def run(
    folder: str, kinds: list[tuple[int, str, int]], happenings: list[Happening], make_verdict: MakeVerdict
) -> Station:
    """Let it all happen, then let everything settle; what must never be is checked on the way."""
    verdicts = [
        make_verdict(f"v{number}", category, START + 100 * offset * NS_PER_MS, good_for_ms)
        for number, (offset, category, good_for_ms) in enumerate(kinds)
    ]
    station = Station(Path(folder) / "ledger.db")
    heard_of = set()
    for what, value in happenings:
        heard_of.add(happen(station, what, value, verdicts))
        check_gates(station)
    settle_everything(station)
    check_reported_once(station, heard_of - {None})
    check_fired(station, crashed=any(what == "crash" for what, _ in happenings))
    return station


def settle_everything(station: Station) -> None:
    disk(station, "OFF")
    intents(station, station.intents_path)
    station.gates[22].broken = False
    station.driver.go_safe(SafeState())
    for _ in range(4):
        station.pass_time(4000)
        station.book.mend(station.monotonic)
        station.step()
        station.auditor.settle()
    assert not any(gate.is_on for gate in station.gates.values())
    station.answer()
    station.crash()
    station.resend()
    station.ledger.close()


def check_gates(station: Station) -> None:
    assert not any(gate.broke_rule for gate in station.gates.values()), "exclusive gates were on together"


def check_reported_once(station: Station, heard_of: set[str | None]) -> None:
    own: dict[str, set[bytes]] = {report.verdict_id: set() for report in station.reports}
    for payload, report in zip(station.published, station.reports, strict=True):
        if report.outcome != "duplicate":
            own[report.verdict_id].add(payload)
    assert {verdict_id: len(different) for verdict_id, different in own.items()} == dict.fromkeys(heard_of, 1)
    firsts = {report.verdict_id: report.outcome for report in reversed(station.reports)}
    assert "duplicate" not in firsts.values()
    assert set(station.resent) <= set(station.published)


def check_fired(station: Station, *, crashed: bool) -> None:
    begun = [each.verdict_id for each in station.begun]
    fired = {report.verdict_id for report in station.reports if report.outcome == "fired"}
    assert len(begun) == len(set(begun)), "fired twice"
    assert all(each.ready for each in station.begun), "fired while disarmed"
    assert all(each.monotonic <= station.limits[each.verdict_id] for each in station.begun), "fired late"
    assert fired <= set(begun) if crashed else fired == set(begun)


SIX = [(0, "solder", 90_000), (0, "component", 90_000), *[(0, "scrap", 90_000)] * 4]


@settings(max_examples=2000, deadline=None)
@example(
    kinds=SIX,
    happenings=[("gate", 0), ("pass", 950), ("step", 0), ("gate", 1), ("step", 0), ("pass", 400), ("step", 0)],
)
@example(kinds=SIX, happenings=[("divert", 0), ("step", 0), ("gate", 1), ("step", 0), ("back", 0), ("step", 0)])
@given(
    kinds=KINDS,
    happenings=st.lists(
        st.one_of(DELIVERIES, DELIVERIES, TIME, st.tuples(ACTIONS, st.just(0)), CRASH), min_size=5, max_size=40
    ),
)
def test_no_verdict_fires_twice_late_or_disarmed_and_each_is_reported_once(
    kinds: list[tuple[int, str, int]], happenings: list[Happening], make_verdict: MakeVerdict
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        run(folder, kinds, happenings, make_verdict)


@settings(max_examples=300, deadline=None)
@given(
    kinds=KINDS,
    happenings=st.lists(
        st.one_of(DELIVERIES, DELIVERIES, TIME, st.tuples(ACTIONS, st.just(0)), DISK), min_size=5, max_size=40
    ),
)
def test_the_same_holds_while_the_disk_fails_now_and_then(
    kinds: list[tuple[int, str, int]], happenings: list[Happening], make_verdict: MakeVerdict
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        run(folder, kinds, happenings, make_verdict)
