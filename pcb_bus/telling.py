"""What a message says, in one line that a person reads. Pure."""

import json
from collections.abc import Callable
from typing import Any

from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.messages import (
    Actuation,
    Event,
    Evidence,
    Frame,
    LiveConfig,
    NodeStatus,
    Recorded,
    Serial,
    Trigger,
    Verdict,
)
from pcb_bus.contract.pictures import START, inspect_jpeg
from pcb_bus.errors import MessageRejected

_LONGEST = 200
_MAX_PIXELS = 100_000_000
_BINARY = frozenset({"frame", "evidence"})


def tell(topic: str, payload: bytes, root: str) -> tuple[str, str]:
    """What it is about (`verdict`, `status edge-left`), and what it says. A payload that is no message is shown."""
    about = topic.removeprefix(f"{root}/").replace("/", " ")
    words = [each for each in about.split(" ") if each != "resend"]
    if not payload:
        return about, "cleared"
    try:
        if payload.startswith(START):
            return about, _jpeg(payload)
        kind, say = _SAY[words[0]]
        return about, say((decode_msgpack if words[0] in _BINARY else decode_json)(kind, payload))
    except (KeyError, MessageRejected):
        text = payload.decode(errors="replace")
        return about, _cut(text if text.isprintable() else repr(payload))


def clock_of(status: NodeStatus) -> str:
    """How far the clock of inference is ahead of a node's; empty if nobody has measured it."""
    if status.clock_offset_ms is None:
        return ""
    return f"{status.clock_offset_ms:+,.1f} ± {status.clock_uncertainty_ms or 0:,.1f} ms"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _map(values: dict[str, Any]) -> str:
    return _cut(" ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()))


def _jpeg(jpeg: bytes) -> str:
    size = inspect_jpeg(jpeg, max_pixels=_MAX_PIXELS)
    return f"{size.width}x{size.height}, {len(jpeg) / 1000:.0f} kB"


def _frame(frame: Frame) -> str:
    quality = f", {frame.quality}" if frame.quality else ""
    return f"{frame.board_id or 'no board'}: {frame.width}x{frame.height}, {len(frame.jpeg) / 1000:.0f} kB{quality}"


def _trigger(trigger: Trigger) -> str:
    return f"{trigger.board_id} by {trigger.source}{f', {trigger.product}' if trigger.product else ''}"


def _verdict(verdict: Verdict) -> str:
    sides = []
    for side, result in sorted(verdict.sides.items()):  # the wire has no order
        found = ", ".join(f"{box.class_name} {box.confidence:.2f}" for box in (result.boxes if result else ()))
        sides.append(f"{side} {'not seen' if result is None else result.quality or found or 'nothing'}")
    product = f" {verdict.product}" if verdict.product else ""
    judged = f"{verdict.category} ({verdict.final_defect_type}) {verdict.confidence:.2f}"
    return f"{verdict.board_id}{product}: {judged} after {verdict.latency_ms:.0f} ms; {'; '.join(sides)}"


def _actuation(report: Actuation) -> str:
    how = "" if report.pin is None else f", pin {report.pin} for {report.duration_ms} ms"
    return f"{report.board_id}: {report.outcome} ({report.category}){how}"


def _recorded(recorded: Recorded) -> str:
    lists = {name: value for name, value in recorded if isinstance(value, tuple) and value}
    return ", ".join(f"{name} {len(value)}" for name, value in lists.items()) or "nothing"


def _status(status: NodeStatus) -> str:
    clock = clock_of(status)
    leads = f"{status.leader} leads" if status.leader and status.node == "inference" else ""
    return "; ".join(filter(None, (status.state, status.detail, leads, f"clock {clock}" if clock else "")))


def _event(event: Event) -> str:
    return f"{event.level}: {event.message} {_map(event.details)}".rstrip()


_SAY: dict[str, tuple[type[Any], Callable[[Any], str]]] = {
    "trigger": (Trigger, _trigger),
    "frame": (Frame, _frame),
    "verdict": (Verdict, _verdict),
    "evidence": (Evidence, lambda evidence: f"{evidence.board_id}: {_jpeg(evidence.jpeg)}"),
    "recorded": (Recorded, _recorded),
    "actuation": (Actuation, _actuation),
    "serial": (Serial, lambda read: f"{read.board_id}: {read.serial} ({read.symbology})"),
    "status": (NodeStatus, _status),
    "event": (Event, _event),
    "config": (LiveConfig, lambda config: _map(config.values) or "nothing is set"),
}
