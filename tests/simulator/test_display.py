"""What a person sees of a run."""

import io

import pytest
from rich.console import Console

from simulator.accounting import Books
from simulator.display import board_line, live_view, summary_table


def shown(width: int, books: Books) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(live_view(books.accounts, books.tally, {"inference": "online", "edge-left": "degraded"}, 5))
    return console.export_text()


@pytest.fixture
def books() -> Books:
    books = Books()
    books.triggered("0a1b2-00001", "scrap")
    return books


@pytest.mark.parametrize("width", [80, 120])
def test_every_column_fits_a_terminal(books: Books, width: int) -> None:
    text = shown(width, books)
    for heading in ("board", "truth", "verdict", "gate", "ms", "stored"):
        assert heading in text
    assert "0a1b2-00001" in text
    assert "1 of 5 boards, 0 accounted for" in text
    assert max(map(len, text.splitlines())) <= width


def test_the_nodes_and_their_states_are_named(books: Books) -> None:
    assert "● edge-left   ● inference" in shown(80, books)


def test_a_board_without_a_verdict_says_so(books: Books) -> None:
    assert "no verdict" in board_line(books.accounts[0])


def test_the_summary_says_unknown_where_nothing_is_known() -> None:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(summary_table({"escapes": None, "latency_ms": {"p50": 1.0}}))
    text = console.export_text()
    assert "unknown" in text
    assert "p50 1.0" in text


def test_no_gaps_read_as_none() -> None:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(summary_table({"gaps": False}))
    assert "none" in console.export_text()
