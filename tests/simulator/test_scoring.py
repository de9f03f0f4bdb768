"""Verdicts against the truth: shares of the boards, what became of the oddities, and which boards were misjudged."""

from typing import Any

import pytest
from support.verdicts import verdict

from pcb_bus.contract.messages import Box, Category, SideResult
from simulator.accounting import Books
from simulator.display import misjudged_lines
from simulator.schedule import Fault


def side(name: str, category: Category, *classes: str) -> SideResult:
    boxes = [Box(x1=0, y1=0, x2=9, y2=9, confidence=0.9, class_name=each) for each in classes]
    return SideResult(
        camera_id=name,
        frame_id=f"f-{name}",
        captured_at=0,
        defect_type="x",
        category=category,
        confidence=1.0,
        boxes=tuple(boxes),
        anomaly_score=None,
        inference_time_ms=1.0,
    )


def judged(books: Books, board: str, truth: Category, found: Category, *drawn: Fault, **sides: SideResult) -> None:
    books.triggered(board, truth, drawn)
    books.judged(verdict(board, found, sides=sides), 0)


@pytest.mark.parametrize(
    ("wrong", "boards", "kept"),
    [("escape", 100, True), ("escape", 99, False), ("false call", 50, True), ("false call", 49, False)],
)
def test_rates_are_shares_of_the_boards_that_were_judged(wrong: str, boards: int, kept: bool) -> None:
    books = Books()
    judged(books, "wrong", *(("solder", "normal") if wrong == "escape" else ("normal", "solder")))
    for number in range(boards - 1):
        judged(books, str(number), "normal", "normal")
    books.triggered("on its way", "scrap")
    judged(books, "not seen", "scrap", "unjudged")
    summary = books.summary()
    assert summary["escape_rate" if wrong == "escape" else "false_call_rate"] == round(1 / boards, 4)
    assert summary["within_bounds"] is kept


def test_an_oddity_is_called_by_its_own_side() -> None:
    books, odd = Books(), Fault("left", "scratch", odd=True)
    judged(books, "a", "component", "component", odd, left=side("left", "component"), right=side("right", "normal"))
    judged(books, "b", "component", "solder", odd, left=side("left", "normal"), right=side("right", "solder", "short"))
    judged(books, "c", "component", "unjudged", odd, right=side("right", "normal"))
    assert books.summary()["oddities"] == {"drawn": 2, "called": 1}


def test_a_misjudged_board_is_told_with_what_was_drawn_and_found() -> None:
    books = Books()
    judged(books, "fine", "normal", "normal", Fault("left", "spur"))
    judged(books, "gone", "solder", "normal", Fault("left", "short"), left=side("left", "normal", "spur"))
    judged(books, "called", "normal", "scrap", right=side("right", "scrap", "damaged_pad"))
    misjudged: Any = books.summary()["misjudged"]
    assert misjudged == [
        {
            "board_id": "gone",
            "error": "escape",
            "truth": "solder",
            "verdict": "normal",
            "drawn": ["left short"],
            "found": ["spur 0.90"],
        },
        {
            "board_id": "called",
            "error": "false call",
            "truth": "normal",
            "verdict": "scrap",
            "drawn": [],
            "found": ["damaged_pad 0.90"],
        },
    ]
    lines = list(misjudged_lines(misjudged))
    assert lines[0] == "escape: gone  normal for solder; drawn: left short; found: spur 0.90"
    assert lines[1].endswith("drawn: nothing; found: damaged_pad 0.90")


def test_many_misjudged_boards_stay_few_lines() -> None:
    books = Books()
    for number in range(40):
        judged(books, str(number), "scrap", "normal")
    lines = list(misjudged_lines(books.summary()["misjudged"]))  # type: ignore[arg-type]
    assert len(lines) == 13
    assert lines[-1] == "and 28 more in summary.json"


def test_nothing_is_said_of_boards_that_nobody_knows() -> None:
    books = Books()
    books.triggered("a", None)
    books.judged(verdict("a", "scrap"), 0)
    summary = books.summary()
    told = ("escapes", "escape_rate", "false_calls", "false_call_rate", "within_bounds", "oddities", "misjudged")
    assert {summary[key] for key in told} == {None}
    assert list(misjudged_lines(None)) == []


@pytest.mark.parametrize("unjudged", [False, True])
def test_before_a_board_is_judged_there_are_no_rates(unjudged: bool) -> None:
    books = Books()
    books.triggered("a", "scrap")
    if unjudged:
        books.judged(verdict("a", "unjudged"), 0)
    summary = books.summary()
    assert (summary["escapes"], summary["escape_rate"], summary["within_bounds"]) == (0, None, None)
