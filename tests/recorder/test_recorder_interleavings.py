"""Triggers, verdicts, deadlines and repeats in any order: one row a board, and statistics that say what the rows do."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from support.boards import AT, MINUTE, count, drift, empty, trigger_record, verdict_record

from pcb_bus.contract.messages import Category
from recorder.batch import Record, group
from recorder.periods import Calendar
from recorder.store import Store
from recorder.tables import Inspection, InspectionSide, Trigger

CALENDAR = Calendar("Asia/Kolkata")
CATEGORIES: list[Category] = ["normal", "solder", "scrap", "unjudged"]


@dataclass(frozen=True)
class Write:
    """A batch of triggers, and of verdicts with their category."""

    triggers: list[int]
    verdicts: list[tuple[int, Category]]


@dataclass(frozen=True)
class CloseOverdue:
    """The deadline of all that is open has passed."""


BOARDS = st.integers(0, 4)
WRITES = st.builds(
    Write, st.lists(BOARDS, max_size=3), st.lists(st.tuples(BOARDS, st.sampled_from(CATEGORIES)), max_size=3)
)
STEPS = st.lists(WRITES | st.just(CloseOverdue()), max_size=8)


class Expected:
    """What the rows should be: the first verdict of each board, or `missing`."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.triggers: set[int] = set()

    def apply(self, step: Write | CloseOverdue) -> None:
        if isinstance(step, CloseOverdue):
            for board in self.triggers - self.rows.keys():
                self.rows[board] = "missing"
            return
        self.triggers.update(step.triggers)
        for board, category in step.verdicts:
            if self.rows.get(board, "missing") == "missing":
                self.rows[board] = category


def records(step: Write) -> list[Record]:
    # Half an hour apart, so that they are in several hours and, in Kolkata, on two days.
    verdicts = [verdict_record(board, category, AT + board * 150 * MINUTE) for board, category in step.verdicts]
    return [*(trigger_record(board) for board in step.triggers), *verdicts]


def apply(store: Store, step: Write | CloseOverdue) -> None:
    if isinstance(step, Write):
        store.write(group(records(step)))
    else:
        store.close_overdue(AT + MINUTE, MINUTE // 2)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_in_any_order_each_board_has_one_row_and_is_counted_once(
    engine: Engine, steps: list[Write | CloseOverdue]
) -> None:
    empty(engine)
    store, expected = Store(engine, CALENDAR), Expected()
    for step in steps:
        apply(store, step)
        expected.apply(step)
    with engine.connect() as connection:
        rows = connection.execute(select(Inspection.board_id, Inspection.status, Inspection.category)).all()
        still_open = set(connection.scalars(select(Trigger.board_id).where(Trigger.open)))
    found = {board_id: "missing" if status == "missing" else category for board_id, status, category in rows}
    assert found == {f"board-{board}": category for board, category in expected.rows.items()}
    assert len(rows) == len(found)
    assert still_open == {f"board-{board}" for board in expected.triggers - expected.rows.keys()}
    assert count(engine, Trigger) == len(expected.triggers)
    judged = [category for category in expected.rows.values() if category != "missing"]
    assert count(engine, InspectionSide) == 2 * len(judged)
    assert drift(engine, CALENDAR) == []
