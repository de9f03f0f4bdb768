"""The books of a run: what counts as missing, as double, as escape."""

from typing import Any

import pytest
from support.verdicts import verdict

from pcb_bus.contract.messages import Actuation
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from simulator.accounting import Books, Tally


def report(board: str, outcome: str = "fired") -> Actuation:
    return Actuation.model_validate(
        {
            "verdict_id": f"v-{board}",
            "board_id": board,
            "category": "normal",
            "pin": 23,
            "outcome": outcome,
            "fired_at": None,
            "duration_ms": None,
            "latency_ms": None,
        }
    )


@pytest.fixture
def books() -> Books:
    """Two boards, everything in order."""
    books = Books()
    for board in ("a", "b"):
        books.triggered(board, "normal")
        books.judged(verdict(board), 1050 * NS_PER_MS)
        books.reported(report(board))
        books.recorded([f"v-{board}"])
    books.counted_rows({"a": 1, "b": 1})
    return books


def test_a_run_in_order_has_nothing_missing_and_nothing_twice(books: Books) -> None:
    summary = books.summary()
    assert books.complete
    assert books.in_order
    assert [summary[key] for key in ("boards", "verdicts", "actuations", "records")] == [2, 2, 2, 2]
    assert (summary["unaccounted"], summary["duplicates"]) == (0, 0)


def test_times_are_taken_from_the_messages(books: Books) -> None:
    summary = books.summary()
    assert summary["latency_ms"] == {"p50": 50.0, "p95": 50.0, "p99": 50.0}
    assert summary["overhead_ms"] == {"p50": 15.0, "p95": 15.0, "p99": 15.0}


@pytest.mark.parametrize("missing", ["verdict", "report", "record"])
def test_a_board_that_lacks_anything_is_unaccounted(books: Books, missing: str) -> None:
    books.triggered("c", "normal")
    if missing != "verdict":
        books.judged(verdict("c"), 0)
    if missing != "report":
        books.reported(report("c"))
    books.counted_rows({"a": 1, "b": 1} | ({} if missing == "record" else {"c": 1}))
    assert books.summary()["unaccounted"] == 1
    assert not books.complete
    assert not books.in_order


def test_the_word_of_the_recorder_does_not_stand_against_the_database(books: Books) -> None:
    books.counted_rows({"a": 1})
    assert books.summary()["records"] == 1


def test_a_second_verdict_a_second_pulse_and_a_second_row_are_duplicates(books: Books) -> None:
    books.judged(verdict("a", verdict_id="another"), 0)
    books.reported(report("a"))
    books.counted_rows({"a": 2, "b": 1})
    assert books.summary()["duplicates"] == 3
    assert not books.in_order


def test_the_same_verdict_heard_again_is_no_duplicate(books: Books) -> None:
    books.judged(verdict("a"), 9_000 * NS_PER_MS)
    books.reported(report("a", "duplicate"))
    summary = books.summary()
    assert summary["duplicates"] == 0
    assert summary["latency_ms"] == {"p50": 50.0, "p95": 50.0, "p99": 50.0}


@pytest.mark.parametrize(
    ("truth", "found", "escapes", "false_calls"),
    [
        ("scrap", "normal", 1, 0),
        ("normal", "solder", 0, 1),
        ("normal", "unjudged", 0, 0),
        ("solder", "unjudged", 0, 0),
        ("solder", "scrap", 0, 0),
        (None, "scrap", None, None),
    ],
)
def test_escapes_and_false_calls(truth: Any, found: str, escapes: int | None, false_calls: int | None) -> None:
    books = Books()
    books.triggered("a", truth)
    books.judged(verdict("a", found), 0)
    summary = books.summary()
    assert (summary["escapes"], summary["false_calls"]) == (escapes, false_calls)


def test_the_counts_are_kept_up_to_date() -> None:
    books = Books()
    books.triggered("a", "scrap")
    books.triggered("b", "normal")
    books.judged(verdict("a"), 0)
    books.judged(verdict("b", "solder"), 0)
    books.reported(report("a"))
    books.recorded(["v-a", "v-b"])
    assert books.tally == Tally(boards=2, accounted=1, escapes=1, false_calls=1)
    assert not books.complete
    books.reported(report("b"))
    assert books.tally.accounted == 2
    assert books.complete


def test_the_word_of_the_recorder_may_come_before_the_verdict() -> None:
    books = Books()
    books.triggered("a", "normal")
    books.recorded(["v-a"])
    books.reported(report("a"))
    books.judged(verdict("a"), 0)
    assert books.complete


def test_a_board_of_another_line_opens_no_account() -> None:
    books = Books()
    books.judged(verdict("stranger"), 0)
    books.reported(report("stranger"))
    assert len(books) == 0
    assert books.strangers == 1


def test_a_board_without_both_sides_does_not_count_for_the_times(books: Books) -> None:
    books.triggered("c", "normal")
    books.judged(verdict("c", "unjudged", status="incomplete", timing=None), 99_000 * NS_PER_MS)
    assert books.summary()["latency_ms"] == {"p50": 50.0, "p95": 50.0, "p99": 50.0}


@pytest.fixture
def seen() -> Books:
    """Boards 1 and 2, which the edges see and name themselves: number n is in view in second n."""
    books = Books(lambda verdict: str(verdict.captured_at // NS_PER_S))
    for number in (1, 2):
        books.triggered(str(number), "normal")
        see(books, number)
    return books


def see(books: Books, number: int, name: str = "") -> None:
    """The edges see a board, and call it so."""
    name = name or f"left-{number}"
    books.judged(verdict(name, captured_at=number * NS_PER_S), number * NS_PER_S)
    books.reported(report(name))
    books.recorded([f"v-{name}"])


def test_boards_that_edges_name_are_known_by_the_time_of_their_pictures(seen: Books) -> None:
    seen.counted_rows({"left-1": 1, "left-2": 1})
    summary = seen.summary()
    assert seen.in_order
    assert [summary[key] for key in ("boards", "verdicts", "actuations", "records")] == [2, 2, 2, 2]
    assert summary["of_no_board"] == 0


def test_a_board_that_is_seen_twice_has_two_of_everything(seen: Books) -> None:
    see(seen, 2, "right-2")
    seen.counted_rows({"left-1": 1, "left-2": 1, "right-2": 1})
    assert seen.complete
    assert seen.summary()["duplicates"] == 3
    assert not seen.in_order


def test_a_board_that_no_edge_sees_is_unaccounted(seen: Books) -> None:
    seen.triggered("3", "scrap")
    seen.counted_rows({"left-1": 1, "left-2": 1})
    assert seen.summary()["unaccounted"] == 1
    assert not seen.in_order


def test_a_verdict_on_an_empty_belt_is_of_no_board(seen: Books) -> None:
    see(seen, 7)
    seen.counted_rows({"left-1": 1, "left-2": 1, "left-7": 1})
    summary = seen.summary()
    assert (summary["boards"], summary["unaccounted"], summary["of_no_board"]) == (2, 0, 1)
    assert not seen.in_order


def test_a_record_without_a_verdict_is_of_no_board(seen: Books) -> None:
    """As of a board that was announced and never judged."""
    seen.counted_rows({"left-1": 1, "left-2": 1, "left-7": 1})
    assert seen.complete
    assert not seen.in_order


def test_a_report_may_come_before_its_verdict(seen: Books) -> None:
    seen.triggered("3", "normal")
    seen.reported(report("left-3"))
    seen.recorded(["v-left-3"])
    seen.judged(verdict("left-3", captured_at=3 * NS_PER_S), 0)
    assert seen.complete


def test_before_cameras_of_others_each_board_counts_that_is_judged() -> None:
    books = Books(all_count=True)
    see(books, 1)
    see(books, 2)
    books.counted_rows({"left-1": 1, "left-2": 1})
    assert books.in_order
    assert books.summary()["boards"] == 2
