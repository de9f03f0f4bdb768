"""Payloads to verdicts; of a broken one, what can still be read, so that it too is accounted for."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pcb_bus.contract.codec import MAX_JSON_BYTES, decode_json
from pcb_bus.contract.messages import Id, Verdict, WireModel
from pcb_bus.errors import MessageRejected

UNKNOWN_CATEGORY = "unknown"
_MAX_CATEGORY = 128


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a report is about."""

    verdict_id: str
    board_id: str
    category: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A payload that is no verdict, and why; `subject` when its ids can still be read."""

    rejection: MessageRejected
    subject: Subject | None


class _Remains(WireModel):
    verdict_id: Id
    board_id: Id
    category: Any = None


def read_verdict(payload: bytes) -> Verdict | Broken:
    """Never raises, whatever the payload is."""
    try:
        return decode_json(Verdict, payload)
    except MessageRejected as rejection:
        return Broken(rejection, _salvage(payload))


def subject_of(verdict: Verdict) -> Subject:
    return Subject(verdict.verdict_id, verdict.board_id, verdict.category)


def _salvage(payload: bytes) -> Subject | None:
    if len(payload) > MAX_JSON_BYTES:
        return None
    try:
        remains = _Remains.model_validate_json(payload)
    except ValidationError:
        return None
    category = remains.category
    readable = isinstance(category, str) and 0 < len(category) <= _MAX_CATEGORY
    return Subject(remains.verdict_id, remains.board_id, category if readable else UNKNOWN_CATEGORY)
