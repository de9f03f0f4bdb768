"""Boards whose verdict did not come in time: an alert for each, or one for many at once. Pure."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from recorder.alerts import Alert

KIND = "unaccounted_board"
_ALONE = 5  # so many at once get an alert each
_IN_ONE = 500
_SHOWN = 10


class LostBoard(Protocol):
    """A pass that was announced and got no verdict."""

    @property
    def verdict_id(self) -> str: ...

    @property
    def board_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class BoardAlert:
    """What to raise: `subject` is the verdict's id, for a board's own id may come again with its next pass."""

    subject: str
    message: str
    details: dict[str, Any]


def alerts_for(boards: Sequence[LostBoard]) -> Iterator[BoardAlert]:
    """What to raise for boards that were found together."""
    if len(boards) <= _ALONE:
        for board in boards:
            yield _alert(f"board {board.board_id} has no verdict", [board])
        return
    for start in range(0, len(boards), _IN_ONE):
        part = boards[start : start + _IN_ONE]
        names = ", ".join(board.board_id for board in part[:_SHOWN])
        more = f" and {len(part) - _SHOWN} more" if len(part) > _SHOWN else ""
        yield _alert(f"{len(part)} boards have no verdict: {names}{more}", part)


def verdict_ids_of(alert: Alert) -> list[str]:
    """The verdicts that an open alert waits for."""
    listed = alert.details.get("verdict_ids")
    return [str(each) for each in listed] if isinstance(listed, list) and listed else [alert.key.subject]


def answered(alerts: Iterable[Alert], judged: Set[str]) -> Iterator[str]:
    """Subjects of the alerts whose verdicts have all come after all."""
    return (alert.key.subject for alert in alerts if judged >= set(verdict_ids_of(alert)))


def _alert(message: str, boards: Sequence[LostBoard]) -> BoardAlert:
    details = {
        "boards": [board.board_id for board in boards[:_SHOWN]],
        "verdict_ids": [board.verdict_id for board in boards],
        "count": len(boards),
    }
    return BoardAlert(boards[0].verdict_id, message, details)
