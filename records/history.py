"""The boards of a line from page to page, each board's story, and all of them for a file.

Pages go by the key of a row, so that the last page of millions takes no longer than the first, and no board comes twice
or is left out while others are written.
"""

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from sqlalchemy import Connection, or_, select

from records.queries import BOARD, Board, Details, Filter, details, where
from records.reviewing import Past, decisions
from records.tables import Base, Defect, Inspection, Trigger

_BATCH = 500  # rows that are read ahead
_HIGHEST_ID = 2**63
_OF_BOARDS = {"inspection_time", "board_id", "serial"}  # the rest of a defect is its own


class Key(NamedTuple):
    """Where a page begins or ends: the wall time and the id of a board."""

    inspection_time: datetime
    id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """As `str` gives it.

        Raises:
            ValueError: it is not that.
        """
        moment, _, number = text.rpartition("_")
        with suppress(ValueError):
            key = cls(datetime.fromisoformat(moment), int(number))
            if key.inspection_time.tzinfo is None and 0 <= key.id < _HIGHEST_ID:
                return key
        raise ValueError(f"not a key of a page: {text[:80]}")

    def __str__(self) -> str:
        return f"{self.inspection_time.isoformat()}_{self.id}"


class Page(NamedTuple):
    """Boards, newest first. `newer` and `older` lead to the pages beside it; None: there is none."""

    boards: list[Board]
    newer: Key | None
    older: Key | None


def page(
    connection: Connection, chosen: Filter, limit: int = 50, *, older: Key | None = None, newer: Key | None = None
) -> Page:
    """The newest boards; those next to the key `older` that are older, or those next to `newer` that are newer."""
    if newer is None:
        found = _next(connection, chosen, limit + 1, older, up=False)
        more, found = len(found) > limit, found[:limit]
        return Page(found, _key(found, 0) if older else None, _key(found, -1) if more else None)
    found = _next(connection, chosen, limit + 1, newer, up=True)
    more, found = len(found) > limit, found[limit - 1 :: -1]
    return Page(found, _key(found, 0) if more else None, _key(found, -1)) if found else page(connection, chosen, limit)


def _key(boards: list[Board], place: int) -> Key | None:
    return Key(boards[place].inspection_time, boards[place].id) if boards else None


def _next(connection: Connection, chosen: Filter, limit: int, key: Key | None, *, up: bool) -> list[Board]:
    moment, number = Inspection.inspection_time, Inspection.id
    if chosen.class_name is None:
        # The ids alone come from an index; then as many rows are read as are shown.
        ids = _beyond(select(number).where(*where(chosen)), moment, number, key, up=up).limit(limit).subquery()
        found = select(*BOARD).join(ids, ids.c.id == number)
    else:
        found = select(*BOARD).where(number.in_(_with_class(connection, chosen, limit, key, up=up)))
    return [Board._make(each) for each in connection.execute(_beyond(found, moment, number, None, up=up))]


def _with_class(connection: Connection, chosen: Filter, limit: int, key: Key | None, *, up: bool) -> list[int]:
    """The ids of boards that have a box of the class, in order of the boxes: there may be many on a board."""
    moment, number = Defect.inspection_time, Defect.inspection_id
    boxes = select(moment, number).join(Inspection, Inspection.id == number)
    boxes = boxes.where(Defect.class_name == chosen.class_name, *where(replace(chosen, class_name=None)))
    if chosen.since is not None:
        boxes = boxes.where(moment >= chosen.since)
    if chosen.until is not None:
        boxes = boxes.where(moment < chosen.until)
    ids: dict[int, None] = {}
    while len(ids) < limit:
        found = connection.execute(_beyond(boxes, moment, number, key, up=up).limit(2 * limit)).all()
        ids.update(dict.fromkeys(each for _, each in found))
        if len(found) < 2 * limit:
            break
        key = Key._make(found[-1])
    return list(ids)[:limit]


def _beyond(query: Any, moment: Any, number: Any, key: Key | None, *, up: bool) -> Any:
    """In order of time and id; of those beyond the key, if there is one."""
    order = (moment, number) if up else (moment.desc(), number.desc())
    query = query.order_by(*order)
    if key is None:
        return query
    # The time is said twice, so that the index is entered there.
    at, last = key
    if up:
        return query.where(moment >= at, or_(moment > at, number > last))
    return query.where(moment <= at, or_(moment < at, number < last))


class Exported(NamedTuple):
    """A board as a file has it."""

    inspection_time: datetime
    line: str
    board_id: str
    serial: str | None
    product: str | None
    defect_type: str
    category: str
    confidence: float
    camera_id: str
    status: str
    recipe: str | None
    model: str | None
    captured_at: datetime
    judged_at: datetime | None
    latency_ms: float | None
    gpio_pin: int | None
    image_path: str | None
    notes: str | None


def export(connection: Connection, chosen: Filter) -> Generator[Exported, None, None]:
    """All of them, oldest first, as of now. Rows come as they are taken, a few hundred at a time.

    The connection has no other statement meanwhile; whoever stops early closes the iterator.
    """
    order = Inspection.inspection_time, Inspection.id
    columns = (getattr(Inspection, name) for name in Exported._fields)
    found = select(*columns).where(*where(chosen)).order_by(*order)
    with connection.execute(found, execution_options={"yield_per": _BATCH}) as rows:
        yield from map(Exported._make, rows)


class FoundDefect(NamedTuple):
    """A box as a file has it: pixels of the picture of its side."""

    inspection_time: datetime
    board_id: str
    serial: str | None
    camera_id: str
    class_name: str
    confidence: float
    x1: float
    y1: float
    x2: float
    y2: float


def export_defects(connection: Connection, chosen: Filter) -> Generator[FoundDefect, None, None]:
    """The boxes of the boards that `export` gives, in the same order and the same way."""
    row = Inspection
    columns = (getattr(row if name in _OF_BOARDS else Defect, name) for name in FoundDefect._fields)
    boxes = select(*columns).select_from(row).join(Defect, Defect.inspection_id == row.id).where(*where(chosen))
    found = boxes.order_by(row.inspection_time, row.id, Defect.id)
    with connection.execute(found, execution_options={"yield_per": _BATCH}) as rows:
        yield from map(FoundDefect._make, rows)


# a board's story

Kind = Literal["triggered", "captured", "judged", "read", "gated", "pictured", "recorded", "decided", "undone"]


class Moment(NamedTuple):
    """What happened to a board at some time (UTC), and the row that says so; `camera_id`: on one side."""

    at: datetime
    kind: Kind
    camera_id: str | None
    row: Base | Past


class Story(NamedTuple):
    """A board with all that belongs to it, and what happened in order of time."""

    details: Details
    trigger: Trigger | None
    decisions: list[Past]
    moments: list[Moment]


def story(connection: Connection, inspection_id: int) -> Story | None:
    """None: there is no such board."""
    found = details(connection, inspection_id)
    if found is None:
        return None
    board = found.board
    same = Trigger.line == board.line, Trigger.verdict_id == board.verdict_id
    row = connection.execute(select(Trigger.__table__).where(*same)).mappings().first()
    trigger = None if row is None else Trigger(**row)
    said = decisions(connection, board.line, board.verdict_id)
    moments = sorted(_moments(found, trigger, said), key=lambda moment: moment.at)
    return Story(found, trigger, said, moments)


def _moments(found: Details, trigger: Trigger | None, said: list[Past]) -> Iterator[Moment]:
    """What has the same time stays in this order."""
    if trigger is not None:
        yield Moment(trigger.triggered_at, "triggered", None, trigger)
    for side in found.sides:
        yield Moment(side.captured_at, "captured", side.camera_id, side)
    if found.board.judged_at is not None:
        yield Moment(found.board.judged_at, "judged", None, found.board)
    for serial in found.serials:
        yield Moment(serial.received_at, "read", serial.camera_id, serial)
    for gate in found.gates:
        yield Moment(gate.fired_at or gate.received_at, "gated", None, gate)
    for picture in found.pictures:
        yield Moment(picture.received_at, "pictured", picture.camera_id, picture)
    yield Moment(found.board.received_at, "recorded", None, found.board)
    for decision in said:
        yield Moment(decision.decided_at, "decided", decision.camera_id, decision)
        if decision.undone_at is not None:
            yield Moment(decision.undone_at, "undone", decision.camera_id, decision)
