"""Keeper, auditor and reporter on a real ledger, with a clock that the test turns: any order of things that happen."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.gate_station import START, Station

from actuator.auditor import HOLD_NS
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Actuation, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S

MakeVerdict = Callable[..., Verdict]


@pytest.fixture
def bench(tmp_path: Path) -> Station:
    return Station(tmp_path / "ledger.db")


def test_report_of_a_pulse(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.pass_time(3)
    bench.gate(encode_json(make_verdict(at=START)))
    assert bench.published == []
    bench.hear_results()
    (report,) = bench.reports
    assert (report.outcome, report.pin, report.duration_ms, report.latency_ms) == ("fired", 22, 500, 53.0)
    assert report.fired_at == START + 3 * NS_PER_MS


def test_verdict_is_on_disk_before_its_pin_goes_high(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.gates[22].others = lambda: not bench.ledger.knows("v1")
    bench.gate(encode_json(make_verdict(at=START)))
    assert (bench.gates[22].is_on, bench.gates[22].broke_rule) == (True, False)


def test_repeat_fires_nothing_and_says_so(bench: Station, make_verdict: MakeVerdict) -> None:
    payload = encode_json(make_verdict(at=START))
    for _ in range(2):
        bench.gate(payload)
        bench.step()
    assert (len(bench.begun), bench.outcomes) == (1, ["fired", "duplicate"])


def test_repeat_while_the_first_is_under_way_is_told_of_after_it(bench: Station, make_verdict: MakeVerdict) -> None:
    payload = encode_json(make_verdict(category="solder", at=START))
    for _ in range(3):
        bench.gate(payload)
    assert bench.published == []
    bench.pass_time(950)
    bench.step()
    assert bench.outcomes == ["fired", "duplicate", "duplicate"]


def test_verdict_that_grew_late_on_a_slow_disk_does_not_fire(
    bench: Station, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bench.ledger.begin

    def write_slowly(report: Actuation, now: int) -> None:
        write(report, now)
        bench.pass_time(101)

    monkeypatch.setattr(bench.ledger, "begin", write_slowly)
    bench.gate(encode_json(make_verdict(at=START, good_for_ms=100)))
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["late"])


def test_clock_set_back_while_a_pulse_waits_does_not_move_it(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(category="solder", at=START)))
    bench.now -= 3600 * NS_PER_S
    bench.pass_time(949)
    bench.step()
    assert bench.begun == []
    bench.pass_time(1)
    bench.step()
    assert len(bench.begun) == 1


def test_crash_between_ledger_and_pin_is_silent_and_reported(
    bench: Station, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = encode_json(make_verdict(at=START))
    monkeypatch.setattr(bench.driver, "add", lambda pulse: None)
    bench.gate(payload)
    bench.crash()
    bench.step()
    bench.gate(payload)
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["late", "duplicate"])


def test_scheduled_pulse_lost_in_a_crash_is_reported_late(bench: Station, make_verdict: MakeVerdict) -> None:
    for number in range(3):
        bench.gate(encode_json(make_verdict(f"v{number}", "solder", START + number * NS_PER_MS)))
    bench.crash()
    bench.pass_time(2000)
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["late"] * 3)


def test_report_that_is_not_recorded_goes_out_again_the_same_also_after_a_crash(
    bench: Station, make_verdict: MakeVerdict
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


def test_refused_report_is_said_again(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(at=START)))
    bench.step()
    bench.reporter.retry(bench.monotonic)
    assert len(bench.published) == 1
    bench.answer(accepted=False)
    bench.reporter.retry(bench.monotonic)
    assert len(bench.published) == 2


def test_reports_that_found_no_room_follow_as_soon_as_there_is_some(bench: Station, make_verdict: MakeVerdict) -> None:
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


def test_a_report_that_the_broker_refuses_is_not_said_all_the_time(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.gate(encode_json(make_verdict(at=START)))
    bench.step()
    for _ in range(8):
        bench.answer(accepted=False)
        bench.pass_time(500)
        bench.reporter.retry(bench.monotonic)
    assert 2 <= len(bench.published) <= 4


def test_broken_verdict_with_ids_is_rejected_once(bench: Station) -> None:
    payload = b'{"v": 1, "verdict_id": "x", "board_id": "b", "category": "golden"}'
    bench.gate(payload)
    bench.audit(payload)
    bench.gate(payload)
    bench.pass_time(2000)
    bench.auditor.settle()
    assert bench.outcomes == ["rejected", "duplicate"]
    assert bench.acknowledged["audit"] == 1
    assert len(bench.broken) == 2


def test_unreadable_payload_is_counted_and_nothing_else(bench: Station) -> None:
    bench.gate(b"\xff\xd8")
    bench.audit(b"\xff\xd8")
    bench.pass_time(2000)
    bench.auditor.settle()
    assert (bench.published, len(bench.broken), bench.acknowledged["audit"]) == ([], 1, 1)


@pytest.mark.parametrize(("category", "outcome"), [("scrap", "late"), ("unjudged", "unjudged")])
def test_what_the_gates_never_heard_of_is_reported(
    category: str, outcome: str, bench: Station, make_verdict: MakeVerdict
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


def test_many_missed_verdicts_are_settled_in_turns(bench: Station, make_verdict: MakeVerdict) -> None:
    for number in range(50):
        bench.audit(encode_json(make_verdict(f"v{number}", at=START)))
    bench.pass_time(2000)
    assert [bench.auditor.settle() > 0 for _ in range(3)] == [False, False, True]
    assert (bench.outcomes, bench.acknowledged["audit"]) == (["late"] * 50, 50)


def test_audit_of_what_the_gates_handled_is_silent(bench: Station, make_verdict: MakeVerdict) -> None:
    payload = encode_json(make_verdict(at=START))
    bench.audit(payload)
    bench.gate(payload)
    bench.audit(payload)
    bench.step()
    bench.pass_time(2000)
    bench.auditor.settle()
    assert (bench.outcomes, bench.acknowledged["audit"]) == (["fired"], 2)


def test_account_leaves_to_the_gates_what_they_may_still_hear_of(bench: Station, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(at=START)
    bench.audit(encode_json(verdict))
    assert bench.account(verdict) == 0
    bench.gate(encode_json(verdict))
    bench.step()
    assert bench.outcomes == ["fired"]


def test_account_says_again_what_waits_and_is_silent_about_what_is_under_way(
    bench: Station, make_verdict: MakeVerdict
) -> None:
    first, second = make_verdict("a", at=START), make_verdict("b", "solder", START)
    bench.gate(encode_json(first))
    bench.gate(encode_json(second))
    bench.step()
    assert (bench.account(first), bench.account(second)) == (1, 0)
    assert bench.resent == bench.published
    bench.record()
    assert bench.account(first) == 0
