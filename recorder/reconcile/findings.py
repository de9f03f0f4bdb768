"""What a reconciliation finds. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

GapKind = Literal[
    "trigger without row",
    "row without verdict",
    "verdict without report",
    "verdict without trigger",
    "report without row",
    "more than one report",
    "picture without row",
    "picture without file",
    "statistics differ",
]
GAP_KINDS: tuple[GapKind, ...] = get_args(GapKind)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` up to, without, `until`."""

    since: datetime
    until: datetime

    def hours(self) -> Iterator["Span"]:
        """Cut at the full hours (UTC)."""
        begin = self.since
        while begin < self.until:
            end = min(begin.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + _HOUR, self.until)
            yield Span(begin, end)
            begin = end


@dataclass(frozen=True, slots=True)
class HourCount:
    """Boards of one hour, each in the hour that it was announced in, or else captured.

    `verdicts` have a row with a judgement, `reports` say what became of them at the gates.
    """

    begins_at: datetime
    triggers: int = 0
    verdicts: int = 0
    reports: int = 0
    rows: int = 0
    gaps: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.triggers or self.rows or self.reports or self.gaps)


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing of one board; of `statistics differ`, what differs."""

    kind: GapKind
    at: datetime
    board_id: str = ""
    verdict_id: str = ""
    detail: str = ""

    def __str__(self) -> str:
        about = f"board {self.board_id}" if self.board_id else ""
        verdict = f"verdict {self.verdict_id}" if self.verdict_id else ""
        return ", ".join(filter(None, (f"{_moment(self.at)} {self.kind}: {about}", verdict, self.detail)))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The outcome for a span. `gaps` holds as many of each kind as were asked for, `gap_counts` counts all."""

    span: Span
    hours: tuple[HourCount, ...]
    gaps: tuple[Gap, ...]
    gap_counts: Mapping[GapKind, int] = field(default_factory=dict)

    @property
    def total(self) -> HourCount:
        return HourCount(
            self.span.since,
            sum(hour.triggers for hour in self.hours),
            sum(hour.verdicts for hour in self.hours),
            sum(hour.reports for hour in self.hours),
            sum(hour.rows for hour in self.hours),
            sum(self.gap_counts.values()),
        )

    @property
    def has_gaps(self) -> bool:
        return any(self.gap_counts.values())

    def as_json(self) -> dict[str, Any]:
        """For programs; times in RFC 3339 UTC."""
        return {
            "since": _moment(self.span.since),
            "until": _moment(self.span.until),
            "hours": [_counts(hour) for hour in self.hours],
            "total": _counts(self.total),
            "gap_counts": dict(self.gap_counts),
            "gaps": [
                {"kind": g.kind, "at": _moment(g.at), "board_id": g.board_id, "verdict_id": g.verdict_id}
                | ({"detail": g.detail} if g.detail else {})
                for g in self.gaps
            ],
        }


def _counts(hour: HourCount) -> dict[str, Any]:
    return {
        "begins_at": _moment(hour.begins_at),
        "triggers": hour.triggers,
        "verdicts": hour.verdicts,
        "reports": hour.reports,
        "rows": hour.rows,
        "gaps": hour.gaps,
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
