"""The boards of a history as a file: CSV as rows come, Excel from a temporary file. Memory stays flat.

What a spreadsheet would take for a formula is text in both: names on boards and serials come from anywhere.
"""

import codecs
import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import IO, Any, TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dashboard.history import MOST, NotAsked, chosen_by
from dashboard.statistics import pareto, raw_yield, wilson
from dashboard.texts import Language, text
from dashboard.web import Desk, language_of
from records.database import for_reading
from records.history import Exported, FoundDefect, export, export_defects
from records.queries import Filter
from records.times import local_time

Row = TypeVar("Row", Exported, FoundDefect)
_COLUMNS = [name for name in Exported._fields if name != "image_path"]  # no file holds a path of the store
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CHUNK = 64 * 1024
_CSV = "text/csv; charset=utf-8"
_EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router, zone = APIRouter(), desk.settings.recorder.zone

    @router.get("/export/boards.csv")
    def as_csv(request: Request) -> Response:
        pieces = csv_of(partial(_connect, desk), _asked(desk, request), zone, language_of(request))
        # The first piece is made here: a database that is away is told as a page, not as half a file.
        return StreamingResponse(chain([next(pieces)], pieces), media_type=_CSV, headers=_named(desk, "csv"))

    @router.get("/export/boards.xlsx")
    def as_excel(request: Request) -> Response:
        pieces = _excel(desk, _asked(desk, request), language_of(request))
        return StreamingResponse(chain([next(pieces)], pieces), media_type=_EXCEL, headers=_named(desk, "xlsx"))

    return router


def _connect(desk: Desk) -> Connection:
    return for_reading(desk.engine).connect()


def _asked(desk: Desk, request: Request) -> Filter:
    settings = desk.settings
    try:
        return chosen_by(request.query_params, settings.root, settings.dashboard.shifts, language_of(request))
    except NotAsked:
        raise HTTPException(400) from None


def _named(desk: Desk, ending: str) -> Mapping[str, str]:
    now = local_time(desk.now(), desk.settings.recorder.zone)
    name = f"boards-{now:%Y%m%d-%H%M%S}.{ending}"
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}


# CSV


def csv_of(
    connect: Callable[[], Connection], chosen: Filter, zone: ZoneInfo, language: Language, most: int = MOST
) -> Iterator[str]:
    """The file, piece by piece; where there are more boards than `most`, its last line says so."""
    with connect() as connection, closing(export(connection, chosen)) as boards:
        first = next(boards, None)
        yield codecs.BOM_UTF8.decode() + _lines([_COLUMNS])
        rows = chain([] if first is None else [first], boards)
        while some := list(islice(rows, min(500, most))):
            most -= len(some)
            yield _lines([[_as_csv(value) for value in _cells(row, zone)] for row in some])
        if next(rows, None) is not None:
            yield _lines([[text("export_more", language)]])


def _lines(rows: Iterable[Iterable[Any]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _as_csv(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _cells(row: Exported | FoundDefect, zone: ZoneInfo) -> Iterator[Any]:
    """As a file has them: times are those of the line's wall clock."""
    for name, value in zip(row._fields, row, strict=True):
        if isinstance(value, datetime) and value.tzinfo is not None:
            yield local_time(value, zone)
        elif name != "image_path":
            yield value


# Excel


def _excel(desk: Desk, chosen: Filter, language: Language) -> Iterator[bytes]:
    with tempfile.TemporaryFile() as file:
        with _connect(desk) as connection:
            write_excel(file, connection, chosen, desk.settings.recorder.zone, language)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk


def write_excel(
    file: IO[bytes], connection: Connection, chosen: Filter, zone: ZoneInfo, language: Language, most: int = MOST
) -> None:
    """Three sheets: boards, their defects, and what they come to."""
    book = Workbook(write_only=True)
    categories, classes = Counter[str](), Counter[str]()
    with closing(export(connection, chosen)) as boards:
        found = _counted(islice(boards, most), categories, "category")
        _sheet(book, text("boards", language), _COLUMNS, (_cells(row, zone) for row in found))
        more = next(boards, None) is not None
    with closing(export_defects(connection, chosen)) as defects:
        boxes = _counted(islice(defects, most), classes, "class_name")
        _sheet(book, text("export_defects", language), FoundDefect._fields, (_cells(row, zone) for row in boxes))
        more = next(defects, None) is not None or more
    _sheet(book, text("statistics", language), [], _summed(categories, classes, language, more=more))
    book.save(file)


def _counted(rows: Iterable[Row], counts: Counter[str], key: str) -> Iterator[Row]:
    for row in rows:
        counts[getattr(row, key)] += 1
        yield row


def _summed(categories: Counter[str], classes: Counter[str], language: Language, *, more: bool) -> Iterator[list[Any]]:
    if more:
        yield [text("export_more", language)]
    total, good = sum(categories.values()), categories["normal"]
    estimate = wilson(good, total)
    yield [text("boards", language), total]
    for category, number in categories.most_common():
        yield [category, number, number / total]
    yield [text("statistics_raw", language), raw_yield(categories), estimate.low, estimate.high]
    yield []
    for bar in pareto(classes):
        yield [bar.name, bar.number, bar.share, bar.cumulated]


def _sheet(book: Workbook, title: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2" if header else None
    if header:
        sheet.append(list(header))
    for row in rows:
        sheet.append([_as_excel(sheet, value) for value in row])


def _as_excel(sheet: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = ILLEGAL_CHARACTERS_RE.sub("", value)
    if not value.startswith(_FORMULA):
        return value
    cell = WriteOnlyCell(sheet, value)
    cell.data_type = "s"  # text, whatever it begins with
    return cell
