"""Goes through a span hour by hour. It reads only, and what it holds is bounded however many gaps there are."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from recorder.database import for_reading, write_error
from recorder.errors import DatabaseDown
from recorder.reconcile.findings import Gap, GapKind, HourCount, Reconciliation, Span
from recorder.reconcile.queries import GapQuery, count, filled_part, gap_queries, has_triggers, pictured_rows

FileExists = Callable[[str], bool]
StatisticsGaps = Callable[[Engine, Span], Iterable[Gap]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at.

    Args:
        gates: whether the line has an actuator, whose reports are expected.
        listed: gaps of one kind that are named; the others are counted.
        file_exists: whether a picture is in the store, by its path there; None: files are not looked at.
        statistics: recounts the statistics; None: they are not looked at.
    """

    gates: bool = True
    listed: int = 100
    file_exists: FileExists | None = None
    statistics: StatisticsGaps | None = None


def reconcile(engine: Engine, span: Span, scope: Scope) -> Reconciliation:
    """Every gap of the span.

    Raises:
        DatabaseDown: the database does not answer, or has no such tables.
    """
    try:
        return _Round(for_reading(engine), span, scope).run()
    except SQLAlchemyError as error:
        raise DatabaseDown(str(write_error(error))) from error


class _Round:
    """One run over one span."""

    def __init__(self, engine: Engine, span: Span, scope: Scope) -> None:
        self._engine = engine
        self._span = span
        self._scope = scope
        self._counts: Counter[GapKind] = Counter()
        self._gaps: list[Gap] = []

    def run(self) -> Reconciliation:
        with self._engine.connect() as connection:
            filled = filled_part(connection, self._span)
            triggers = has_triggers(connection, self._span)
        queries = gap_queries(gates=self._scope.gates, triggers=triggers)
        hours = [self._hour(queries.items(), hour) for hour in filled.hours()]
        if self._scope.statistics is not None:
            for gap in self._scope.statistics(self._engine, self._span):
                self._add(gap)
        gaps = sorted(self._gaps, key=lambda gap: (gap.at, gap.board_id))
        return Reconciliation(
            self._span, tuple(hour for hour in hours if not hour.is_empty), tuple(gaps), dict(self._counts)
        )

    def _hour(self, queries: Iterable[tuple[GapKind, GapQuery]], span: Span) -> HourCount:
        before = self._counts.total()
        with self._engine.connect() as connection:
            counted = count(connection, span)
            for kind, query in queries:
                self._find(connection, kind, query, span)
            self._find_missing_files(connection, span)
        return replace(counted, gaps=self._counts.total() - before)

    def _find(self, connection: Connection, kind: GapKind, query: GapQuery, span: Span) -> None:
        """One query where there is no gap, and one more to count them where there are more than are listed."""
        room = max(0, self._scope.listed - self._counts[kind])
        rows = connection.execute(query(span).limit(room + 1)).all()
        self._gaps += [Gap(kind, row.at, row.board_id, row.verdict_id) for row in rows[:room]]
        found = len(rows)
        if found > room:
            found = connection.scalar(select(func.count()).select_from(query(span).subquery())) or 0
        self._counts[kind] += found

    def _find_missing_files(self, connection: Connection, span: Span) -> None:
        exists = self._scope.file_exists
        if exists is None:
            return
        for row in connection.execution_options(yield_per=1000).execute(pictured_rows(span)):
            if row.image_path is not None and not exists(row.image_path):
                at, board, verdict = row.inspection_time, row.board_id, row.verdict_id
                self._add(Gap("picture without file", at, board, verdict, row.image_path))

    def _add(self, gap: Gap) -> None:
        if self._counts[gap.kind] < self._scope.listed:
            self._gaps.append(gap)
        self._counts[gap.kind] += 1


def lines(result: Reconciliation) -> Iterator[str]:
    """The outcome as a table of hours, and a line for each gap."""
    yield f"{'hour (UTC)':<17} {'triggers':>9} {'verdicts':>9} {'reports':>9} {'rows':>9} {'gaps':>9}"
    yield from (_line(f"{hour.begins_at:%Y-%m-%d %H:%M}", hour) for hour in result.hours)
    yield _line("all", result.total)
    if not result.has_gaps:
        yield "no gap"
        return
    yield from (f"  {gap}" for gap in result.gaps)
    yield from (f"{number} × {kind}" for kind, number in result.gap_counts.items() if number)


def _line(name: str, hour: HourCount) -> str:
    return f"{name:<17} {hour.triggers:>9} {hour.verdicts:>9} {hour.reports:>9} {hour.rows:>9} {hour.gaps:>9}"
