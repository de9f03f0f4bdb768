import sqlite3
from pathlib import Path

import pytest

from actuator.ledger import Ledger, Memory
from actuator.reading import Subject
from actuator.reporter import not_fired
from pcb_bus.clock import NS_PER_S
from pcb_bus.codec import decode_json
from pcb_bus.errors import ConfigError
from pcb_bus.messages import Actuation, Outcome


def report(verdict_id: str, outcome: Outcome = "late") -> Actuation:
    return not_fired(Subject(verdict_id, f"board-{verdict_id}", "scrap"), outcome)


def waiting(ledger: Ledger) -> list[tuple[str, str]]:
    stored = ledger.unreported(100)
    return [(each.verdict_id, decode_json(Actuation, each.payload).outcome) for each in stored]


def test_verdict_is_known_from_before_it_fires(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "ledger.db")
    assert not ledger.knows("a")
    ledger.begin(report("a"), now=1)
    assert ledger.knows("a")
    assert waiting(ledger) == []
    with pytest.raises(sqlite3.IntegrityError):
        ledger.begin(report("a"), now=2)
    ledger.close()


def test_outcome_waits_until_somebody_has_the_report(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.begin(report("a"), now=1)
    ledger.settle([report("a", "disarmed"), report("b", "rejected")], now=2)
    assert waiting(ledger) == [("a", "disarmed"), ("b", "rejected")]
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.reported(["a"])
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
    assert ledger.recover() == ["a"]
    assert waiting(ledger) == [("a", "late")]
    assert ledger.recover() == []
    ledger.close()


def test_old_and_reported_is_forgotten_unreported_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", Memory(age_s=10))
    ledger.settle([report(str(number)) for number in range(1000)], now=1)
    ledger.reported(str(number) for number in range(999))
    assert ledger.prune(now=11 * NS_PER_S) == 0
    assert waiting(ledger) == [("999", "late")]
    assert not ledger.knows("0")
    ledger.close()


def test_size_is_bounded_and_losses_are_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", Memory(rows=400))
    for hundred in range(0, 1000, 100):
        ledger.settle([report(str(hundred + each)) for each in range(100)], now=hundred)
    ledger.reported(str(number) for number in range(500))
    assert ledger.prune(now=1000) == 100
    assert {verdict_id for verdict_id, _ in waiting(ledger)} == {str(number) for number in range(600, 700)}
    assert ledger.prune(now=1000) == 0
    ledger.close()


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
