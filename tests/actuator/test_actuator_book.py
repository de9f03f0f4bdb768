"""The ledger on a disk that takes nothing: SQLite itself says that it is full."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.book import Book
from actuator.ledger import Ledger
from actuator.reading import Subject
from actuator.reporter import not_fired
from pcb_bus.contract.messages import Actuation
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import OutboxFault


def report(verdict_id: str) -> Actuation:
    return not_fired(Subject(verdict_id, "b" * 128, "scrap"), "rejected")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db", durable=False)
    yield opened
    opened.close()


def fill(ledger: Ledger) -> None:
    """Not a page more, and none free."""
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxFault, match="full"):
        settle_singly(ledger, 10_000)


def settle_singly(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.settle([report(f"filler {number}")], now=1)


def fault_of(book: Book) -> str | None:
    return book.fault


def make_room(ledger: Ledger) -> None:
    ledger._db.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_keeps_reports_in_mind_and_writes_them_down_later(ledger: Ledger) -> None:
    book = Book(ledger)
    fill(ledger)
    assert book.settle([report(f"b{number}") for number in range(300)], now=2) == 0
    assert book.fault is not None
    assert book.knows("b299")
    with pytest.raises(OutboxFault):
        book.begin(report("a"), now=2)
    make_room(ledger)
    book.mend(now=NS_PER_S)
    assert (fault_of(book), ledger.knows("b299"), len(book)) == (None, True, len(ledger))


def test_what_failed_left_no_transaction_and_no_wrong_count(ledger: Ledger) -> None:
    fill(ledger)
    with pytest.raises(OutboxFault):
        ledger.settle([report(f"c{number}") for number in range(1000)], now=2)
    assert not ledger._db.in_transaction
    assert len(ledger) == ledger._db.execute("SELECT count(*) FROM decided WHERE report IS NOT NULL").fetchone()[0]
    make_room(ledger)
    assert ledger.settle([report("c1")], now=3) == 0


def test_memory_of_what_is_unwritten_is_bounded(ledger: Ledger) -> None:
    book = Book(ledger, room=3)
    ledger._db.execute("PRAGMA query_only = ON")
    assert book.settle([report(f"d{number}") for number in range(5)], now=1) == 2
    assert len(book) == 3
    ledger._db.execute("PRAGMA query_only = OFF")


def test_arming_is_written_down_as_soon_as_it_can_be(ledger: Ledger) -> None:
    book = Book(ledger)
    ledger._db.execute("PRAGMA query_only = ON")
    assert not book.remember_armed(False)
    ledger._db.execute("PRAGMA query_only = OFF")
    book.mend(now=NS_PER_S)
    assert not ledger.armed()


def test_a_late_recovery_leaves_pulses_of_this_process_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "old.db", durable=False)
    ledger.begin(report("old"), now=1)
    ledger.close()
    ledger = Ledger(tmp_path / "old.db", durable=False)
    book = Book(ledger)
    ledger._db.execute("PRAGMA query_only = ON")
    assert book.recover() == []
    ledger._db.execute("PRAGMA query_only = OFF")
    book.mend(now=NS_PER_S)
    book.begin(report("new"), now=2)
    assert [intent.verdict_id for intent in book.recover()] == ["old"]
    assert book.recover() == []
    ledger.close()


def test_a_disk_that_cannot_be_read_arms_nothing_and_knows_what_it_has_just_seen(ledger: Ledger) -> None:
    book = Book(ledger)
    ledger.settle([report("older")], now=1)
    book.settle([report("seen")], now=1)
    ledger._db.close()
    assert book.knows("seen")
    assert not book.armed()
    assert (book.waiting(0, 9, 9), book.newest()) == ([], 0)
    with pytest.raises(OutboxFault):
        book.knows("older")
    with pytest.raises(OutboxFault):
        book.begin(report("new"), now=2)
