"""From messages to rows. Pure: no clock, no database, no disk."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgpack
from pydantic import TypeAdapter

from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import (
    Actuation,
    Event,
    Evidence,
    Id,
    Name,
    Recorded,
    Serial,
    SideResult,
    Trigger,
    Verdict,
    evidence_id,
)
from pcb_bus.contract.pictures import PictureSize, inspect_jpeg, inspect_png
from pcb_bus.contract.times import from_rfc3339, to_datetime
from pcb_bus.errors import MessageRejected
from recorder.spool import Arrival
from records import tables
from records.times import local_day, local_time

Row = dict[str, Any]
PictureKind = Literal["frame", "heat"]
BOTH = "both"
MISSING = "missing"
NO_VERDICT = "no verdict came within the deadline"
PAYLOAD_KEPT = 64 * 1024
_LONGEST_ID = 128
_LONGEST_DETAIL = 4096
_MAX_PIXELS = 40_000_000
_IDS_A_MESSAGE = 200
_ID: TypeAdapter[str] = TypeAdapter(Id)
_SIDE: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class Record:
    """The rows of one message. A verdict has those of its sides and boxes besides, which lack their inspection's id.

    `named` says in which list of `pcb/recorded` it is named, and how; None where nobody waits to hear of it.
    """

    table: type[tables.Base]
    rows: Sequence[Row]
    sides: Sequence[Row] = ()
    defects: Sequence[Row] = ()
    named: tuple[str, str] | None = None
    rejection: MessageRejected | None = None


def read(arrival: Arrival, line: str, zone: ZoneInfo, sides: Collection[str]) -> Record:
    """The rows of one message of the line, whose clocks show the time of `zone`.

    Raises:
        MessageRejected: the payload breaks the contract, or is a picture of a side that is not one of `sides`.
    """
    match arrival.kind:
        case "trigger":
            return trigger_record(decode_json(Trigger, arrival.payload), line, arrival.received_at)
        case "verdict":
            return verdict_record(decode_json(Verdict, arrival.payload), line, zone, arrival.received_at)
        case "serial":
            serial, side = decode_json(Serial, arrival.payload), arrival.topic.rsplit("/", 1)[-1]
            if serial.side not in sides:
                raise MessageRejected("unknown_side", f"{serial.side} is not a side of this line")
            if serial.side != side:
                raise MessageRejected("side_mismatch", f"a serial of {serial.side!r} on the topic of {side!r}")
            return serial_record(serial, line, arrival.received_at)
        case "actuation":
            return actuation_record(decode_json(Actuation, arrival.payload), line, arrival.received_at)
        case "event":
            return event_record(decode_json(Event, arrival.payload), line, arrival.payload)
        case "evidence":
            evidence = decode_msgpack(Evidence, arrival.payload)
            if evidence.side not in sides:
                raise MessageRejected("unknown_side", f"{evidence.side} is not a side of this line")
            return evidence_record(evidence, line, zone, arrival.received_at)


def trigger_record(trigger: Trigger, line: str, received_at: int) -> Record:
    """A pass that has no inspection yet, under the id that its verdict will have."""
    passed = verdict_id(line, trigger.board_id, trigger.triggered_at)
    row = {
        "line": line,
        "verdict_id": passed,
        "board_id": trigger.board_id,
        "source": trigger.source,
        "product": trigger.product,
        "triggered_at": to_datetime(trigger.triggered_at),
        "received_at": to_datetime(received_at),
        "open": True,
    }
    return Record(tables.Trigger, [row], named=("triggers", passed))


def verdict_record(verdict: Verdict, line: str, zone: ZoneInfo, received_at: int) -> Record:
    # The wire has no order of sides.
    seen = sorted(filter(None, verdict.sides.values()), key=lambda side: side.camera_id)
    signal, recipe = verdict.gpio_signal, verdict.recipe
    row = {
        **_moment(to_datetime(verdict.captured_at), zone),
        "line": line,
        "verdict_id": verdict.verdict_id,
        "board_id": verdict.board_id,
        "serial": verdict.serial,
        "product": verdict.product,
        "recipe": recipe and f"{recipe.name} {recipe.version}"[:_LONGEST_ID],
        "camera_id": deciding_camera(verdict),
        "defect_type": verdict.final_defect_type,
        "category": verdict.category,
        "confidence": verdict.confidence,
        "boxes": [
            {"camera_id": side.camera_id, **box.model_dump(by_alias=True)} for side in seen for box in side.boxes
        ],
        "gpio_pin": signal and signal.pin,
        "gpio_duration_ms": signal and signal.duration_ms,
        "status": verdict.status,
        "judged_at": to_datetime(verdict.judged_at),
        "received_at": to_datetime(received_at),
        "latency_ms": verdict.latency_ms,
        "model": verdict.model.name,
        "model_sha256": verdict.model.sha256,
    }
    sides = {side.camera_id: _side_row(side, line) for side in seen}
    defects = [
        {
            "line": line,
            "inspection_time": row["inspection_time"],
            "camera_id": side.camera_id,
            **box.model_dump(),
        }
        for side in seen
        for box in side.boxes
    ]
    return Record(tables.Inspection, [row], [*sides.values()], defects, named=("verdicts", verdict.verdict_id))


def deciding_camera(verdict: Verdict) -> str:
    """The side whose category is the board's; `both` if there is not exactly one."""
    sides = verdict.sides.values()
    deciding = [side.camera_id for side in sides if side is not None and side.category == verdict.category]
    return deciding[0] if len(deciding) == 1 else BOTH


def missing_row(trigger: Row, zone: ZoneInfo, label: str, now: datetime) -> Row:
    """The inspection of a board whose verdict did not come; `label` is what the taxonomy calls an unjudged one."""
    return {
        **_moment(trigger["triggered_at"], zone),
        "line": trigger["line"],
        "verdict_id": trigger["verdict_id"],
        "board_id": trigger["board_id"],
        "product": trigger["product"],
        "camera_id": BOTH,
        "defect_type": label,
        "category": "unjudged",
        "confidence": 0.0,
        "boxes": [],
        "status": MISSING,
        "received_at": now,
        "notes": NO_VERDICT,
    }


def serial_record(serial: Serial, line: str, received_at: int) -> Record:
    """Of the pass under the id that its verdict has; whether anything contradicts it, only the other rows tell."""
    row = {
        "line": line,
        "verdict_id": verdict_id(line, serial.board_id, serial.triggered_at),
        "board_id": serial.board_id,
        "camera_id": serial.side,
        "serial": serial.serial,
        "symbology": serial.symbology,
        "product": serial.product,
        "conflict": None,
        "received_at": to_datetime(received_at),
    }
    return Record(tables.Serial, [row])


def conflict_of(serial: Any, of_pass: Iterable[Any], product: str | None) -> str | None:
    """What contradicts a serial, as `tables.Serial` says: `of_pass` are those of its pass, `product` is the board's."""
    if serial.product and product and serial.product != product:
        return "product"
    same_side = (each for each in of_pass if each.camera_id == serial.camera_id)
    return "serial" if any(each.serial != serial.serial for each in same_side) else None


def actuation_record(report: Actuation, line: str, received_at: int) -> Record:
    row = {
        "line": line,
        "verdict_id": report.verdict_id,
        "board_id": report.board_id,
        "category": report.category,
        "pin": report.pin,
        "outcome": report.outcome,
        "fired_at": None if report.fired_at is None else to_datetime(report.fired_at),
        "duration_ms": report.duration_ms,
        "latency_ms": report.latency_ms,
        "received_at": to_datetime(received_at),
    }
    # That a verdict came again is not its report: the actuator keeps that until it is named.
    named = None if report.outcome == "duplicate" else ("actuations", report.verdict_id)
    return Record(tables.Actuation, [row], named=named)


def evidence_record(evidence: Evidence, line: str, zone: ZoneInfo, received_at: int) -> Record:
    """Of its frame, and of its heat map if it has one; both wait for their store.

    Raises:
        MessageRejected: one of them is not a picture of a sane size.
    """
    received, rows = to_datetime(received_at), []
    pictures: list[tuple[PictureKind, bytes, PictureSize]] = [
        ("frame", evidence.jpeg, inspect_jpeg(evidence.jpeg, max_pixels=_MAX_PIXELS))
    ]
    if evidence.heat_map is not None:
        pictures.append(("heat", evidence.heat_map, inspect_png(evidence.heat_map, max_pixels=_MAX_PIXELS)))
    for kind, data, size in pictures:
        rows.append(
            {
                "line": line,
                "verdict_id": evidence.verdict_id,
                "board_id": evidence.board_id,
                "camera_id": evidence.side,
                "kind": kind,
                "state": "pending",
                "sha256": hashlib.sha256(data).hexdigest(),
                "path": picture_path(line, evidence.verdict_id, evidence.side, kind, local_day(received, zone)),
                "width": size.width,
                "height": size.height,
                "size_bytes": len(data),
                "received_at": received,
            }
        )
    return Record(tables.DefectImage, rows, named=("evidence", evidence_id(evidence.verdict_id, evidence.side)))


def picture_path(line: str, verdict: str, side: str, kind: PictureKind, day: date) -> str:
    """Where the picture is in the store: each has a name of its own, the same after any repeat on that day."""
    name = hashlib.sha256("\n".join((line, verdict, side, kind)).encode()).hexdigest()[:40]
    return f"{day.isoformat()}/{name}.{'png' if kind == 'heat' else 'jpg'}"


def event_record(event: Event, line: str, payload: bytes) -> Record:
    row = {
        "line": line,
        "digest": hashlib.sha256(payload).hexdigest(),
        "level": event.level,
        "source": event.source,
        "message": event.message,
        "details": event.details,
        "logged_at": to_datetime(event.at),
    }
    return Record(tables.SystemLog, [row])


def rejected_record(arrival: Arrival, rejection: MessageRejected, line: str) -> Record:
    """What could not become a row of its kind, cut to the columns. Its sender hears of it, or it would come again."""
    about, named = _about(arrival, line)
    row = {
        "line": line,
        "digest": hashlib.sha256(arrival.topic.encode(errors="replace") + b"\0" + arrival.payload).hexdigest(),
        "kind": arrival.kind,
        "topic": _text(arrival.topic, 255),
        "verdict_id": about,
        "reason": _text(rejection.reason, 64),
        "detail": _text(rejection.detail, _LONGEST_DETAIL),
        "payload": arrival.payload[:PAYLOAD_KEPT],
        "size_bytes": len(arrival.payload),
        "received_at": to_datetime(arrival.received_at),
    }
    return Record(tables.RejectedMessage, [row], named=named, rejection=rejection)


def recorded_messages(named: Iterable[tuple[str, str]]) -> Iterator[Recorded]:
    """What to say on `pcb/recorded` of these; cut so that each message stays small."""
    distinct = list(dict.fromkeys(named))
    for start in range(0, len(distinct), _IDS_A_MESSAGE):
        lists: dict[str, Any] = {}
        for kind, name in distinct[start : start + _IDS_A_MESSAGE]:
            lists[kind] = (*lists.get(kind, ()), name)
        yield Recorded(**lists)


def _moment(captured: datetime, zone: ZoneInfo) -> Row:
    local = local_time(captured, zone)
    return {"inspection_time": local, "local_date": local.date(), "captured_at": captured}


def _side_row(side: SideResult, line: str) -> Row:
    return {
        "line": line,
        "camera_id": side.camera_id,
        "frame_id": side.frame_id,
        "captured_at": to_datetime(side.captured_at),
        "defect_type": side.defect_type,
        "category": side.category,
        "confidence": side.confidence,
        "anomaly_score": side.anomaly_score,
        "inference_time_ms": side.inference_time_ms,
        "coverage": side.coverage,
        "quality": side.quality,
    }


def _about(arrival: Arrival, line: str) -> tuple[str | None, tuple[str, str] | None]:
    """The verdict that the message is about, and how it is named; None for what cannot be made out."""
    unpack = msgpack.unpackb if arrival.kind == "evidence" else json.loads
    try:
        data = unpack(arrival.payload)
        if arrival.kind in {"trigger", "serial"}:
            board = _ID.validate_python(data["board_id"], strict=True)
            about = verdict_id(line, board, from_rfc3339(data["triggered_at"]))
        else:
            about = _ID.validate_python(data["verdict_id"], strict=True)
        if arrival.kind == "evidence":
            return about, ("evidence", evidence_id(about, _SIDE.validate_python(data["side"], strict=True)))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError, msgpack.UnpackException):
        return None, None
    return about, None if arrival.kind in {"event", "serial"} else (f"{arrival.kind}s", about)


def _text(text: str, longest: int) -> str:
    """Its beginning, in characters that UTF-8 has: half a surrogate pair cannot be stored."""
    return text[:longest].encode(errors="replace").decode()
