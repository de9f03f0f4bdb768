"""What people decide of boards, and which boards they are to look at.

Functions take a connection within a transaction of the caller's, who tells the time. Verdicts never change.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from records.errors import ReviewRefused
from records.tables import Defect, Inspection, InspectionSide, Review, ReviewSample, User

Reason = Literal["rejected", "doubted", "random"]
Decided = Literal["confirmed", "false_call", "other_class", "missed", "repaired", "unsure"]
TAKEN_FOR = timedelta(minutes=10)
"""So long a board that somebody took is theirs; then anybody may take it."""
_CANDIDATES = 20  # so many people may ask for a board at once
_OVERLAP = 500  # rows of a line are written by two threads: a lower id may come a moment after a higher one


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which boards are queued: all that were not normal, all that were doubted, and a share of the others.

    Args:
        share: of the normal boards that nobody doubted, 0 to 1.
        doubtful_call: a call less sure than this is doubted, 0 to 1.
        doubtful_pass: a normal board with an anomaly score from here on is doubted, 0 to 1; the threshold is at 0.5.
    """

    share: float = 0.02
    doubtful_call: float = 0.5
    doubtful_pass: float = 0.4


class Queued(NamedTuple):
    """A board of the queue."""

    verdict_id: str
    reason: Reason
    queued_at: datetime
    inspection_id: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says of one call (`defect_id`), or of the board as a whole.

    `class_name` is the right class, of other_class and missed; side and box (x1, y1, x2, y2 in pixels) are of missed.
    """

    verdict_id: str
    decision: Decided
    defect_id: int | None = None
    class_name: str | None = None
    camera_id: str | None = None
    box: tuple[float, float, float, float] | None = None
    note: str | None = None


class Past(NamedTuple):
    """A decision that was made of a board, by whom and when; `undone_at`: it does not hold any more."""

    id: int
    verdict_id: str
    defect_id: int | None
    decision: Decided
    class_name: str | None
    camera_id: str | None
    x1: float | None
    y1: float | None
    x2: float | None
    y2: float | None
    note: str | None
    user_id: int | None
    username: str | None
    decided_at: datetime
    undone_at: datetime | None


_COLUMNS = tuple(User.username if name == "username" else getattr(Review, name) for name in Past._fields)
_PAST = select(*_COLUMNS).select_from(Review).outerjoin(User, User.id == Review.user_id)


class Call(NamedTuple):
    """What the line called on a board."""

    id: int
    class_name: str
    confidence: float


class Reviewed(NamedTuple):
    """A board of the sample that is done: what the line said, and what people did. `oddity`: highest anomaly score."""

    verdict_id: str
    reason: Reason
    category: str
    oddity: float | None
    calls: list[Call]
    decisions: list[Past]


# the queue


def drawn(
    verdict_id: str, category: str, confidence: float, oddity: float | None, sampling: Sampling
) -> tuple[Reason, float] | None:
    """Why a board is queued, and its weight; None: it is not. The same board always has the same answer.

    `oddity` is the highest anomaly score of its sides.
    """
    if category == "unjudged":
        return "doubted", 1.0
    if category != "normal":
        return "doubted" if confidence < sampling.doubtful_call else "rejected", 1.0
    if oddity is not None and oddity >= sampling.doubtful_pass:
        return "doubted", 1.0
    luck = int.from_bytes(hashlib.sha256(verdict_id.encode()).digest()[:8]) / 2**64
    return ("random", 1 / sampling.share) if luck < sampling.share else None


def start_of(connection: Connection, line: str, since: datetime) -> int:
    """After which id the boards come that were inspected from `since` (wall time) on, for `queue`."""
    row = Inspection
    before = select(row.id).where(row.line == line, row.inspection_time < since)
    return connection.scalar(before.order_by(row.inspection_time.desc(), row.id.desc()).limit(1)) or 0


def queue(
    connection: Connection, line: str, sampling: Sampling, after: int, now: datetime, limit: int = 2000
) -> tuple[int, int]:
    """Draw among up to `limit` boards with an id after `after`. How many are new in the queue, and the last id seen.

    Boards that are queued already stay as they are, so that to ask again does no harm.
    """
    row = Inspection
    oddity = select(func.max(InspectionSide.anomaly_score)).where(InspectionSide.inspection_id == row.id)
    columns = row.id, row.verdict_id, row.category, row.confidence, row.inspection_time, oddity.scalar_subquery()
    seen = select(*columns).where(row.line == line, row.id > after - _OVERLAP).order_by(row.id).limit(limit + _OVERLAP)
    found = connection.execute(seen).all()
    rows = [
        {"verdict_id": verdict, "inspection_time": time, "category": category, "reason": why[0], "weight": why[1]}
        for _, verdict, category, confidence, time, odd in found
        if (why := drawn(verdict, category, confidence, odd, sampling))
    ]
    sample = ReviewSample
    mine = sample.line == line, sample.verdict_id.in_([each["verdict_id"] for each in rows])
    there = set(connection.scalars(select(sample.verdict_id).where(*mine)))
    fresh = [{**each, "line": line, "queued_at": now} for each in rows if each["verdict_id"] not in there]
    if fresh:
        connection.execute(insert(sample), fresh)
    return len(fresh), max(after, found[-1][0] if found else 0)


def take(connection: Connection, line: str, user_id: int, now: datetime, reason: Reason | None = None) -> Queued | None:
    """The board that the user has taken already, else the oldest that nobody has; None: the queue is empty."""
    sample = ReviewSample
    fresh = sample.taken_at > now - TAKEN_FOR
    mine, free = and_(sample.taken_by == user_id, fresh), or_(sample.taken_at.is_(None), ~fresh)
    waits = [sample.line == line, sample.done_at.is_(None)]
    if reason is not None:
        waits.append(sample.reason == reason)
    there = and_(Inspection.line == sample.line, Inspection.verdict_id == sample.verdict_id)
    columns = sample.verdict_id, sample.reason, sample.queued_at, Inspection.id
    oldest = select(*columns).join(Inspection, there).order_by(sample.queued_at).limit(_CANDIDATES)
    for state in (mine, free):
        for found in map(Queued._make, connection.execute(oldest.where(*waits, state)).all()):
            this = sample.line == line, sample.verdict_id == found.verdict_id, sample.done_at.is_(None), state
            # Others take boards at the same time: what one of them has by now is passed over.
            if connection.execute(update(sample).where(*this).values(taken_by=user_id, taken_at=now)).rowcount:
                return found
    return None


def put_back(connection: Connection, line: str, verdict_id: str, user_id: int) -> None:
    """Let others have a board that the user took; nothing happens if they did not."""
    sample = ReviewSample
    mine = sample.line == line, sample.verdict_id == verdict_id, sample.taken_by == user_id
    connection.execute(update(sample).where(*mine).values(taken_by=None, taken_at=None))


def waiting(connection: Connection, line: str, most: int = 10_000) -> dict[str, int]:
    """How many boards wait, by reason, counted up to `most`; reasons of which none waits are left out."""
    sample, counts = ReviewSample, dict[str, int]()
    for reason in get_args(Reason):
        mine = sample.line == line, sample.done_at.is_(None), sample.reason == reason
        some = select(sample.verdict_id).where(*mine).limit(most).subquery()
        counts[reason] = connection.scalar(select(func.count()).select_from(some)) or 0
    return {reason: number for reason, number in counts.items() if number}


# decisions


def decide(connection: Connection, line: str, decision: Decision, user_id: int, now: datetime) -> int:
    """Write it down, and tick the board off once all of it is decided. The decision's id.

    Raises:
        ReviewRefused: there is no such board or call, or the decision does not say what its kind must.
    """
    _check(connection, line, decision)
    row = asdict(decision)
    edges = row.pop("box") or (None,) * 4
    row |= dict(zip(("x1", "y1", "x2", "y2"), edges, strict=True))
    done = connection.execute(insert(Review).values(**row, line=line, user_id=user_id, decided_at=now))
    _tick(connection, line, decision.verdict_id, now)
    key = done.inserted_primary_key
    assert key is not None
    return int(key[0])


def undo(connection: Connection, line: str, user_id: int, now: datetime, verdict_id: str | None = None) -> Past | None:
    """Take back the user's own last decision, of this board if one is named. None: there is none that holds."""
    mine = _PAST.where(Review.line == line, Review.user_id == user_id, Review.undone_at.is_(None))
    if verdict_id is not None:
        mine = mine.where(Review.verdict_id == verdict_id)
    found = connection.execute(mine.order_by(Review.id.desc()).limit(1)).first()
    if found is None:
        return None
    last = Past._make(found)
    connection.execute(update(Review).where(Review.id == last.id).values(undone_at=now, undone_by=user_id))
    _tick(connection, line, last.verdict_id, now)
    return last._replace(undone_at=now)


def decisions(connection: Connection, line: str, verdict_id: str) -> list[Past]:
    """All that was decided of a board, oldest first, also what was undone."""
    of_board = _PAST.where(Review.line == line, Review.verdict_id == verdict_id).order_by(Review.id)
    return [Past._make(row) for row in connection.execute(of_board)]


def reviewed(connection: Connection, line: str, since: datetime, until: datetime) -> list[Reviewed]:
    """The boards of the sample that were inspected in that time (wall time) and are done, oldest first."""
    sample, row = ReviewSample, Inspection
    span = sample.line == line, sample.inspection_time >= since, sample.inspection_time < until
    done = *span, sample.done_at.is_not(None)
    same = and_(row.line == sample.line, row.verdict_id == sample.verdict_id)
    oddity = select(func.max(InspectionSide.anomaly_score)).where(InspectionSide.inspection_id == row.id)
    columns = row.id, sample.verdict_id, sample.reason, row.category, oddity.scalar_subquery()
    boards = _sample_first(select(*columns).select_from(sample).join(row, same).where(*done))
    calls: dict[int, list[Call]] = defaultdict(list)
    called = select(Defect.inspection_id, Defect.id, Defect.class_name, Defect.confidence).select_from(sample)
    called = called.join(row, same).join(Defect, Defect.inspection_id == row.id).where(*done)
    for key, *call in connection.execute(_sample_first(called).order_by(Defect.id)):
        calls[key].append(Call._make(call))
    said: dict[str, list[Past]] = defaultdict(list)
    of_sample = and_(Review.line == sample.line, Review.verdict_id == sample.verdict_id)
    past = select(*_COLUMNS).select_from(sample).join(Review, of_sample).outerjoin(User, User.id == Review.user_id)
    for each in connection.execute(_sample_first(past.where(*done))):
        said[each.verdict_id].append(Past._make(each))
    found = connection.execute(boards.order_by(sample.inspection_time, row.id)).all()
    return [
        Reviewed(verdict, reason, category, odd, calls[key], standing(said[verdict]))
        for key, verdict, reason, category, odd in found
    ]


def _sample_first(query: Any) -> Any:
    """The tables are read in the order in which they are named: some thousand boards, and what belongs to each."""
    return query.prefix_with("STRAIGHT_JOIN", dialect="mysql")


def drawn_boards(connection: Connection, line: str, since: datetime, until: datetime) -> dict[tuple[str, str], int]:
    """How many boards of that time (wall time) were queued, by category and reason."""
    sample = ReviewSample
    span = sample.line == line, sample.inspection_time >= since, sample.inspection_time < until
    columns = sample.category, sample.reason
    counts = select(*columns, func.count()).where(*span).group_by(*columns)
    return {(category, reason): number for category, reason, number in connection.execute(counts)}


def standing(past: Sequence[Past]) -> list[Past]:
    """Those that hold: not undone, and of each call, and of the board, the last word; every defect that was missed."""
    held: dict[Any, Past] = {}
    for each in sorted(past, key=lambda each: each.id):
        if each.undone_at is None:
            held[("missed", each.id) if each.decision == "missed" else each.defect_id] = each
    return list(held.values())


def _check(connection: Connection, line: str, decision: Decision) -> None:
    kind = decision.decision
    if kind not in get_args(Decided):
        raise ReviewRefused(f"{kind}: not a decision; it is one of {', '.join(get_args(Decided))}")
    if kind in ("other_class", "missed") and not decision.class_name:
        raise ReviewRefused(f"{kind}: name the class that it really is")
    located = decision.camera_id is not None and decision.box is not None
    if located != (kind == "missed") or (kind == "missed" and decision.defect_id is not None):
        raise ReviewRefused("a missed defect has a side and a box, and is no call of the line; nothing else has a box")
    if decision.box is not None and not _is_box(*decision.box):
        raise ReviewRefused("a box has its left edge left of its right one, and its upper edge above its lower one")
    board = select(Inspection.id).where(Inspection.line == line, Inspection.verdict_id == decision.verdict_id)
    inspection = connection.scalar(board)
    if inspection is None:
        raise ReviewRefused(f"there is no board with the verdict {decision.verdict_id}: its rows may be gone by age")
    call = select(Defect.id).where(Defect.id == decision.defect_id, Defect.inspection_id == inspection)
    if decision.defect_id is not None and connection.scalar(call) is None:
        raise ReviewRefused(f"call {decision.defect_id} is of another board: load the board again")


def _is_box(x1: float, y1: float, x2: float, y2: float) -> bool:
    return 0 <= x1 < x2 < 1e6 and 0 <= y1 < y2 < 1e6


def _tick(connection: Connection, line: str, verdict_id: str, now: datetime) -> None:
    """The board is done when it was decided as a whole, or each of its calls was."""
    held = standing(decisions(connection, line, verdict_id))
    board = select(Inspection.id).where(Inspection.line == line, Inspection.verdict_id == verdict_id)
    calls = set(connection.scalars(select(Defect.id).where(Defect.inspection_id.in_(board))))
    as_a_whole = any(each.defect_id is None and (each.decision != "missed" or not calls) for each in held)
    done = as_a_whole or (bool(calls) and calls <= {each.defect_id for each in held})
    sample = ReviewSample
    this = update(sample).where(sample.line == line, sample.verdict_id == verdict_id)
    if done:
        connection.execute(this.where(sample.done_at.is_(None)).values(done_at=now, taken_by=None, taken_at=None))
    else:
        connection.execute(this.values(done_at=None))
