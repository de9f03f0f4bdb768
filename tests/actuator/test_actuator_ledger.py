import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from actuator.ledger import Ledger, Memory
from actuator.reading import Subject
from actuator.reporter import not_fired
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, Outcome
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import ConfigError, OutboxFault


def report(verdict_id: str, outcome: Outcome = "late") -> Actuation:
    return not_fired(Subject(verdict_id, f"board-{verdict_id}", "scrap"), outcome)


def waiting(ledger: Ledger) -> list[tuple[str, str]]:
    stored = ledger.waiting(0, ledger.newest(), 10_000)
    return [(each.identity, decode_json(Actuation, each.payload).outcome) for each in stored]


def test_verdict_is_known_from_before_it_fires(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "ledger.db")
    assert not ledger.knows("a")
    ledger.begin(report("a"), now=1)
    assert ledger.knows("a")
    assert waiting(ledger) == []
    with pytest.raises(ValueError, match="known already"):
        ledger.begin(report("a"), now=2)
    ledger.close()


def test_outcome_waits_until_the_recorder_has_the_report(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(report("a"), now=1)
    ledger.settle([report("a", "disarmed"), report("b", "rejected")], now=2)
    assert waiting(ledger) == [("a", "disarmed"), ("b", "rejected")]
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.clear(["a"])
    assert waiting(ledger) == [("b", "rejected")]
    assert ledger.knows("a")
    ledger.close()


def test_first_outcome_stands(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.settle([report("a", "rejected")], now=1)
    ledger.settle([report("a", "late")], now=2)
    assert waiting(ledger) == [("a", "rejected")]
    ledger.close()


def test_crash_while_firing_is_reported_late_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(report("a"), now=1)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert [intent.verdict_id for intent in ledger.recover()] == ["a"]
    assert waiting(ledger) == [("a", "late")]
    assert ledger.recover() == []
    ledger.close()


def test_old_and_reported_is_forgotten_unreported_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", Memory(age_s=10))
    ledger.settle([report(str(number)) for number in range(1000)], now=1)
    ledger.clear(str(number) for number in range(999))
    ledger.prune(now=11 * NS_PER_S)
    assert waiting(ledger) == [("999", "late")]
    assert not ledger.knows("0")
    ledger.close()


def test_memory_of_what_is_recorded_is_bounded_and_never_drives_out_what_waits(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", Memory(rows=400))
    for hundred in range(0, 1000, 100):
        names = [str(hundred + each) for each in range(100)]
        ledger.settle(map(report, names), now=hundred)
        ledger.clear(names[1:])
    ledger.prune(now=1000)
    assert [verdict_id for verdict_id, _ in waiting(ledger)] == [str(number) for number in range(0, 1000, 100)]
    assert [ledger.knows(each) for each in ("0", "1", "599", "600", "999")] == [True, False, False, True, True]
    assert len(ledger) == 10
    ledger.close()


def test_full_ledger_keeps_the_reports_that_it_has_and_still_knows_every_verdict(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", Memory(rows=3))
    ledger.begin(report("firing"), now=0)
    assert ledger.settle([report("a"), report("b"), report("c")], now=1) == 1
    assert (ledger.fill, ledger.full) == (1.0, True)
    ledger.begin(report("firing too"), now=2)
    assert ledger.settle([report("firing too", "fired")], now=3) == 1
    assert ledger.settle([report("firing", "fired")], now=3) == 0
    assert waiting(ledger) == [("a", "late"), ("b", "late"), ("firing", "fired")]
    assert ledger.knows("c")
    assert ledger.knows("firing too")
    ledger.clear(["a"])
    assert ledger.settle([report("d")], now=4) == 0
    assert (len(ledger), ledger.full) == (3, False)
    ledger.close()
    assert len(Ledger(tmp_path / "ledger.db")) == 3


def test_a_ledger_of_before_the_outbox_is_taken_over(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as old:
        old.executescript(
            """
            CREATE TABLE verdicts (
                verdict_id TEXT PRIMARY KEY, seen_at INTEGER NOT NULL, firing INTEGER NOT NULL, report BLOB
            );
            CREATE INDEX verdicts_waiting ON verdicts (firing) WHERE report IS NOT NULL;
            """
        )
        old.execute("INSERT INTO verdicts VALUES ('a', 1, 0, ?)", (encode_json(report("a", "fired")),))
        old.execute("INSERT INTO verdicts VALUES ('b', 2, 1, ?)", (encode_json(report("b")),))
        old.execute("INSERT INTO verdicts VALUES ('c', 3, 0, NULL)")
    for _ in range(2):
        ledger = Ledger(tmp_path / "ledger.db")
        assert (waiting(ledger), len(ledger)) == ([("a", "fired"), ("b", "late")], 2)
        assert [ledger.knows(each) for each in ("a", "b", "c", "d")] == [True, True, True, False]
        ledger.close()


def test_recovery_waits_for_a_ledger_that_cannot_be_written_and_forgets_nothing_meanwhile(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(report("a"), now=1)
    ledger.close()
    for attempt in ("first", "second"):
        ledger = Ledger(tmp_path / "ledger.db")
        ledger._db.execute("PRAGMA query_only = ON")
        with pytest.raises(OutboxFault):
            ledger.recover()
        assert (ledger.knows("a"), len(ledger), waiting(ledger)) == (True, 1, [])
        ledger._db.execute("PRAGMA query_only = OFF")
        ledger.begin(report(attempt), now=2)
        ledger.settle([report(attempt, "fired")], now=3)
        ledger.clear([attempt])
        assert attempt == "first" or [intent.verdict_id for intent in ledger.recover()] == ["a"]
        ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert (ledger.recover(), waiting(ledger)) == ([], [("a", "late")])
    ledger.close()


def test_what_is_settled_is_no_intent_any_more_even_after_the_ledger_forgot_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", Memory(age_s=10))
    ledger.begin(report("a"), now=1)
    ledger.settle([report("a", "fired")], now=2)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db", Memory(age_s=10))
    assert ledger.recover() == []
    assert waiting(ledger) == [("a", "fired")]
    ledger.settle([report(str(number)) for number in range(1000)], now=2)
    ledger.clear(["a"])
    ledger.prune(now=11 * NS_PER_S)
    assert not ledger.knows("a")
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert (ledger.recover(), ledger.knows("a")) == ([], False)
    ledger.close()


def test_intents_take_no_more_room_however_many_verdicts_fire(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", durable=False)
    size = (tmp_path / "ledger.db.intents").stat().st_size
    for number in range(500):
        ledger.begin(report(str(number)), now=1)
        ledger.settle([report(str(number), "fired")], now=2)
    assert (tmp_path / "ledger.db.intents").stat().st_size == size
    ledger.close()


def test_intents_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "ledger.db.intents").mkdir()
    with pytest.raises(ConfigError, match=r"actuator\.ledger: cannot use .*intents"):
        Ledger(tmp_path / "ledger.db")


def test_disarming_outlives_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.armed()
    ledger.remember_armed(False)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert not ledger.armed()
    ledger.remember_armed(True)
    assert ledger.armed()
    ledger.close()


def test_second_actuator_on_the_same_ledger_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    with pytest.raises(ConfigError, match=r"actuator\.ledger: cannot use .*locked"):
        Ledger(tmp_path / "ledger.db")
    ledger.close()


@pytest.mark.parametrize("content", [b"not a database, but long enough to be taken for one" * 100])
def test_file_that_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.db").write_bytes(content)
    with pytest.raises(ConfigError, match=r"actuator\.ledger: cannot use .*not a database"):
        Ledger(tmp_path / "ledger.db")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"actuator\.ledger: cannot use"):
        Ledger(tmp_path / "file" / "ledger.db")


def test_a_crash_while_outcomes_cannot_be_written_tells_what_really_became_of_them(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(report("a"), now=5)
    ledger._db.execute("PRAGMA query_only = ON")
    for now in (6, 3):  # tried again, by a clock that was set back meanwhile
        with pytest.raises(OutboxFault):
            ledger.settle([report("a", "disarmed")], now)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert [decode_json(Actuation, each.report).outcome for each in ledger.recover()] == ["disarmed"]
    assert waiting(ledger) == [("a", "disarmed")]
    ledger.close()


def test_an_outcome_that_was_written_late_leaves_nothing_to_recover(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(report("a"), now=1)
    ledger._db.execute("PRAGMA query_only = ON")
    with pytest.raises(OutboxFault):
        ledger.settle([report("a", "disarmed")], now=2)
    ledger._db.execute("PRAGMA query_only = OFF")
    ledger.settle([report("a", "disarmed")], now=3)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.recover() == []
    assert waiting(ledger) == [("a", "disarmed")]
    ledger.close()
