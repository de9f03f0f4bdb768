"""What is counted, and what is missing, in a span of at most an hour.

Every query is a range of an index, and looks the counterparts up by `verdict_id` wherever in time they are: a board at
the edge of a span is no gap.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, distinct, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from recorder.reconcile.findings import GapKind, HourCount, Span
from recorder.tables import Actuation, DefectImage, Inspection, Trigger

GapQuery = Callable[[Span], Select[str, str, datetime]]
_ENDS = (func.min, func.max)
_FREE_RUN = "free-%"  # how inference names boards that nobody announced


def count(connection: Connection, span: Span) -> HourCount:
    """The boards of a span; its gaps are not counted yet."""
    announced = connection.execute(_announced(span)).one()
    others = connection.execute(_not_announced(span)).one()
    (strays,) = connection.execute(select(func.count()).select_from(_stray_reports(span).subquery())).one()
    return HourCount(
        begins_at=span.since,
        triggers=announced.triggers,
        verdicts=announced.verdicts + others.verdicts,
        reports=announced.reports + others.reports + strays,
        rows=announced.boards + others.boards,
    )


def gap_queries(*, gates: bool, triggers: bool) -> Mapping[GapKind, GapQuery]:
    """The queries of the gaps: board, verdict and time of each.

    Args:
        gates: whether the line has an actuator, whose reports are expected.
        triggers: whether boards are announced, so that those without a trigger are gaps.
    """
    queries: dict[GapKind, GapQuery] = {
        "trigger without row": _trigger_without_row,
        "row without verdict": _row_without_verdict,
    }
    if gates:
        queries["verdict without report"] = _verdict_without_report
    if triggers:
        queries["verdict without trigger"] = _verdict_without_trigger
    queries["report without row"] = _report_without_row
    queries["more than one report"] = _more_than_one_report
    queries["picture without row"] = _picture_without_row
    return queries


def has_triggers(connection: Connection, span: Span) -> bool:
    found = select(Trigger.id).where(*_within(Trigger.triggered_at, span)).limit(1)
    return connection.execute(found).first() is not None


def filled_part(connection: Connection, span: Span) -> Span:
    """The part of the span in which anything is recorded; empty where nothing is."""
    columns = (Trigger.triggered_at, Inspection.inspection_time, Actuation.received_at)
    ends = [connection.execute(select(end(c)).where(*_within(c, span))).scalar() for c in columns for end in _ENDS]
    pictures = (DefectImage.removed_at.is_(None), *_within(DefectImage.received_at, span))
    ends += [connection.execute(select(end(DefectImage.received_at)).where(*pictures)).scalar() for end in _ENDS]
    times = [end for end in ends if end is not None]
    if not times:
        return Span(span.since, span.since)
    return Span(max(span.since, min(times)), min(span.until, max(times) + timedelta(milliseconds=1)))


def pictured_rows(span: Span) -> Select[str, str, datetime, str | None]:
    """Rows whose picture should be in the store."""
    return (
        select(Inspection.board_id, Inspection.verdict_id, Inspection.inspection_time, Inspection.image_path)
        .outerjoin(
            DefectImage,
            (DefectImage.verdict_id == Inspection.verdict_id)
            & (DefectImage.path == Inspection.image_path)
            & DefectImage.removed_at.is_not(None),
        )
        .where(*_within(Inspection.inspection_time, span), Inspection.image_path.is_not(None), DefectImage.id.is_(None))
        .order_by(Inspection.inspection_time)
    )


def _announced(span: Span) -> Select[int, int, int, int]:
    return (
        select(
            func.count(distinct(Trigger.id)).label("triggers"),
            func.count(distinct(Inspection.id)).label("boards"),
            func.count(distinct(_judged_id())).label("verdicts"),
            func.count(distinct(Actuation.verdict_id)).label("reports"),
        )
        .select_from(Trigger)
        .outerjoin(Inspection, Inspection.verdict_id == Trigger.verdict_id)
        .outerjoin(Actuation, _report_of(Trigger.verdict_id))
        .where(*_within(Trigger.triggered_at, span))
    )


def _not_announced(span: Span) -> Select[int, int, int]:
    return (
        select(
            func.count(distinct(Inspection.id)).label("boards"),
            func.count(distinct(_judged_id())).label("verdicts"),
            func.count(distinct(Actuation.verdict_id)).label("reports"),
        )
        .select_from(Inspection)
        .outerjoin(Trigger, Trigger.verdict_id == Inspection.verdict_id)
        .outerjoin(Actuation, _report_of(Inspection.verdict_id))
        .where(*_within(Inspection.inspection_time, span), Trigger.id.is_(None))
    )


def _stray_reports(span: Span) -> Select[str]:
    """Reports of boards that have neither row nor trigger."""
    return (
        select(Actuation.verdict_id)
        .distinct()
        .outerjoin(Inspection, Inspection.verdict_id == Actuation.verdict_id)
        .outerjoin(Trigger, Trigger.verdict_id == Actuation.verdict_id)
        .where(*_within(Actuation.received_at, span), Actuation.outcome != "duplicate")
        .where(Inspection.id.is_(None), Trigger.id.is_(None))
    )


def _trigger_without_row(span: Span) -> Select[str, str, datetime]:
    return (
        select(Trigger.board_id, Trigger.verdict_id, Trigger.triggered_at.label("at"))
        .outerjoin(Inspection, Inspection.verdict_id == Trigger.verdict_id)
        .where(*_within(Trigger.triggered_at, span), Inspection.id.is_(None))
    )


def _row_without_verdict(span: Span) -> Select[str, str, datetime]:
    return _boards(span).where(Inspection.judged_at.is_(None))


def _verdict_without_report(span: Span) -> Select[str, str, datetime]:
    reports = _boards(span).outerjoin(Actuation, _report_of(Inspection.verdict_id))
    return reports.where(Inspection.judged_at.is_not(None), Actuation.id.is_(None))


def _verdict_without_trigger(span: Span) -> Select[str, str, datetime]:
    triggers = _boards(span).outerjoin(Trigger, Trigger.verdict_id == Inspection.verdict_id)
    return triggers.where(Trigger.id.is_(None), Inspection.board_id.not_like(_FREE_RUN))


def _report_without_row(span: Span) -> Select[str, str, datetime]:
    return (
        select(Actuation.board_id, Actuation.verdict_id, func.min(Actuation.received_at).label("at"))
        .outerjoin(Inspection, Inspection.verdict_id == Actuation.verdict_id)
        .where(*_within(Actuation.received_at, span), Inspection.id.is_(None))
        .group_by(Actuation.board_id, Actuation.verdict_id)
    )


def _more_than_one_report(span: Span) -> Select[str, str, datetime]:
    """Of a verdict `late` and `fired`, for example; each verdict once, by its latest report."""
    other = aliased(Actuation)
    earlier = (other.verdict_id == Actuation.verdict_id) & (other.outcome != "duplicate") & (other.id < Actuation.id)
    return (
        select(Actuation.board_id, Actuation.verdict_id, func.max(Actuation.received_at).label("at"))
        .join(other, earlier)
        .where(*_within(Actuation.received_at, span), Actuation.outcome != "duplicate")
        .group_by(Actuation.board_id, Actuation.verdict_id)
    )


def _picture_without_row(span: Span) -> Select[str, str, datetime]:
    return (
        select(DefectImage.board_id, DefectImage.verdict_id, func.min(DefectImage.received_at).label("at"))
        .outerjoin(Inspection, Inspection.verdict_id == DefectImage.verdict_id)
        .where(DefectImage.removed_at.is_(None), *_within(DefectImage.received_at, span), Inspection.id.is_(None))
        .group_by(DefectImage.board_id, DefectImage.verdict_id)
    )


def _boards(span: Span) -> Select[str, str, datetime]:
    columns = (Inspection.board_id, Inspection.verdict_id, Inspection.inspection_time.label("at"))
    return select(*columns).where(*_within(Inspection.inspection_time, span))


def _judged_id() -> ColumnElement[Any]:
    return case((Inspection.judged_at.is_not(None), Inspection.id))


def _report_of(verdict_id: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """That a verdict came again is not its report."""
    return (Actuation.verdict_id == verdict_id) & (Actuation.outcome != "duplicate")


def _within(column: InstrumentedAttribute[datetime], span: Span) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return column >= span.since, column < span.until
