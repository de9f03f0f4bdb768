"""What a period of a line looks like: boards by side, product or model, and where on the board the defects are.

Boards are counted by whole hours, from the statistics, as `records.queries` has them by hour, day and class.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Integer, cast, func, select

from records.tables import Defect, DefectImage, YieldStatistics

By = Literal["side", "product", "model"]
_COLUMNS: dict[By, Any] = {
    "side": YieldStatistics.camera_id,
    "product": YieldStatistics.product,
    "model": YieldStatistics.model,
}
_MOST_BOXES = 50_000


class Group(NamedTuple):
    """Boards of a category of a deciding side, a product or a model; an empty name: not known."""

    name: str
    category: str
    boards: int


class Places(NamedTuple):
    """How many defects have their middle in each cell (column, row) of a grid over the picture of a side.

    `width` and `height` are those of the picture, pixels. `boxes` are counted; `is_all`: there were no more.
    """

    width: int
    height: int
    columns: int
    rows: int
    cells: dict[tuple[int, int], int]
    boxes: int
    is_all: bool


def groups(connection: Connection, line: str, since: datetime, until: datetime, by: By) -> list[Group]:
    """Of the hours that begin in that time (wall time), in order of their name."""
    table, key = YieldStatistics, _COLUMNS[by]
    within = table.line == line, table.begins_at >= since, table.begins_at < until
    found = select(key, table.category, func.sum(table.boards)).where(*within).group_by(key, table.category)
    ordered = found.order_by(key, table.category)
    return [Group(name, category, int(boards)) for name, category, boards in connection.execute(ordered)]


def places(
    connection: Connection,
    line: str,
    camera_id: str,
    since: datetime,
    until: datetime,
    grid: tuple[int, int] = (32, 24),
    class_name: str | None = None,
) -> Places | None:
    """Of the newest 50,000 boxes of a side in that time (wall time). None: it has no picture to lay them on."""
    size = _picture_size(connection, line, camera_id)
    if size is None:
        return None
    within = [Defect.line == line, Defect.inspection_time >= since, Defect.inspection_time < until]
    within.append(Defect.camera_id == camera_id)
    if class_name is not None:
        within.append(Defect.class_name == class_name)
    middle = (Defect.x1 + Defect.x2) / 2, (Defect.y1 + Defect.y2) / 2
    newest = select(*(each.label(name) for each, name in zip(middle, "xy", strict=True))).where(*within)
    some = newest.order_by(Defect.inspection_time.desc()).limit(_MOST_BOXES).subquery()
    cell = [_whole(connection, some.c[name] * grid[place] / size[place]) for place, name in enumerate("xy")]
    counts: dict[tuple[int, int], int] = {}
    counted = select(cell[0], cell[1], func.count()).group_by(*cell)
    for x, y, number in connection.execute(counted):
        # What lies on the edge, or beyond it since the camera has another size, counts in the last cell.
        at = min(max(int(x), 0), grid[0] - 1), min(max(int(y), 0), grid[1] - 1)
        counts[at] = counts.get(at, 0) + number
    boxes = sum(counts.values())
    return Places(*size, *grid, counts, boxes, is_all=boxes < _MOST_BOXES)


def _whole(connection: Connection, number: ColumnElement[Any]) -> ColumnElement[Any]:
    # SQLite may have no FLOOR; to CAST is to cut there, and to round on the others.
    return cast(number, Integer) if connection.dialect.name == "sqlite" else func.floor(number)


def _picture_size(connection: Connection, line: str, camera_id: str) -> tuple[int, int] | None:
    image = DefectImage
    of_side = image.line == line, image.state == "stored", image.camera_id == camera_id, image.kind == "frame"
    newest = select(image.width, image.height).where(*of_side).order_by(image.received_at.desc()).limit(1)
    found = connection.execute(newest).first()
    return None if found is None else (found.width, found.height)
