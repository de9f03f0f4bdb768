"""From messages to rows. Pure: no clock, no database, no disk."""

import hashlib
from typing import Any

from pcb_bus.contract.messages import Actuation, Event, Evidence, SideResult, Trigger, Verdict
from pcb_bus.contract.times import to_datetime
from recorder.images import StoredImage
from recorder.images.forms import Kind

Row = dict[str, Any]
BOTH = "both"
PAYLOAD_KEPT = 64 * 1024
_LONGEST_ID = 128
_LONGEST_DETAIL = 4096


def deciding_camera(verdict: Verdict) -> str:
    """The side whose category is the board's; `both` if there is not exactly one."""
    sides = verdict.sides.values()
    deciding = [side.camera_id for side in sides if side is not None and side.category == verdict.category]
    return deciding[0] if len(deciding) == 1 else BOTH


def inspection_row(verdict: Verdict, received_at: int) -> Row:
    signal = verdict.gpio_signal
    return {
        "verdict_id": verdict.verdict_id,
        "board_id": verdict.board_id,
        "serial": verdict.serial,
        "camera_id": deciding_camera(verdict),
        "defect_type": verdict.final_defect_type,
        "category": verdict.category,
        "confidence": verdict.confidence,
        "inspection_time": to_datetime(verdict.captured_at),
        "boxes": [box for side in _seen(verdict) for box in _boxes(side)],
        "gpio_pin": signal and signal.pin,
        "gpio_duration_ms": signal and signal.duration_ms,
        "status": verdict.status,
        "judged_at": to_datetime(verdict.judged_at),
        "received_at": to_datetime(received_at),
        "latency_ms": verdict.latency_ms,
        "model": verdict.model.name,
        "model_sha256": verdict.model.sha256,
    }


def side_rows(verdict: Verdict) -> list[Row]:
    """One row for each side that was seen; the store adds the `inspection_id`."""
    return [
        {
            "camera_id": side.camera_id,
            "frame_id": side.frame_id,
            "captured_at": to_datetime(side.captured_at),
            "defect_type": side.defect_type,
            "category": side.category,
            "confidence": side.confidence,
            "anomaly_score": side.anomaly_score,
            "inference_time_ms": side.inference_time_ms,
        }
        for side in {side.camera_id: side for side in _seen(verdict)}.values()
    ]


def actuation_row(report: Actuation, received_at: int) -> Row:
    return {
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


def image_row(evidence: Evidence, image: StoredImage, received_at: int) -> Row:
    """Of its frame."""
    return _picture_row(evidence, "frame", evidence.jpeg, image, received_at)


def heat_row(evidence: Evidence, heat_map: bytes, image: StoredImage, received_at: int) -> Row:
    return _picture_row(evidence, "heat", heat_map, image, received_at)


def _picture_row(evidence: Evidence, kind: Kind, data: bytes, image: StoredImage, received_at: int) -> Row:
    return {
        "verdict_id": evidence.verdict_id,
        "board_id": evidence.board_id,
        "camera_id": evidence.side,
        "kind": kind,
        "sha256": image.sha256,
        "path": image.path,
        "width": image.info.width,
        "height": image.info.height,
        "size_bytes": len(data),
        "received_at": to_datetime(received_at),
    }


def log_row(event: Event, payload: bytes) -> Row:
    return {
        "digest": hashlib.sha256(payload).hexdigest(),
        "level": event.level,
        "source": event.source,
        "message": event.message,
        "details": event.details,
        "logged_at": to_datetime(event.at),
    }


def trigger_row(trigger: Trigger, verdict_id: str, received_at: int) -> Row:
    """A pass that has no inspection yet; `verdict_id` is the one that its verdict will have."""
    return {
        "verdict_id": verdict_id,
        "board_id": trigger.board_id,
        "source": trigger.source,
        "triggered_at": to_datetime(trigger.triggered_at),
        "received_at": to_datetime(received_at),
        "open": True,
    }


def rejected_row(
    kind: str, topic: str, payload: bytes, reason: str, detail: str, verdict_id: str | None, received_at: int
) -> Row:
    """What could not become a row of its `kind`, cut to the columns; an id too long to be one is left out."""
    whole_id = verdict_id if verdict_id and len(verdict_id) <= _LONGEST_ID else None
    return {
        "digest": hashlib.sha256(topic.encode(errors="replace") + b"\0" + payload).hexdigest(),
        "kind": _text(kind, 16),
        "topic": _text(topic, 255),
        "verdict_id": whole_id and _text(whole_id, _LONGEST_ID),
        "reason": _text(reason, 64),
        "detail": _text(detail, _LONGEST_DETAIL),
        "payload": payload[:PAYLOAD_KEPT],
        "size_bytes": len(payload),
        "received_at": to_datetime(received_at),
    }


def _text(text: str, longest: int) -> str:
    """Its beginning, in characters that UTF-8 has: half a surrogate pair cannot be stored."""
    return text[:longest].encode(errors="replace").decode()


def _seen(verdict: Verdict) -> list[SideResult]:
    # The wire has no order of sides.
    return sorted(filter(None, verdict.sides.values()), key=lambda side: side.camera_id)


def _boxes(side: SideResult) -> list[Row]:
    return [{"camera_id": side.camera_id, **box.model_dump(by_alias=True)} for box in side.boxes]
