"""What becomes of a message that cannot be a row of its own kind. Pure."""

import json
from typing import Any

import msgpack
from pydantic import TypeAdapter

from pcb_bus.contract.codec import MAX_JSON_BYTES
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Id
from pcb_bus.contract.times import from_rfc3339
from pcb_bus.errors import MessageRejected
from recorder.arrival import Arrival
from recorder.batch import RejectedRecord
from recorder.rows import rejected_row

_ID: TypeAdapter[str] = TypeAdapter(Id)


def rejected_record(arrival: Arrival, rejection: MessageRejected, root: str) -> RejectedRecord:
    """What is written down of it; `root` is that of the line's topics."""
    about = readable_id(arrival, root)
    return RejectedRecord(
        rejected_row(
            arrival.kind,
            arrival.topic,
            arrival.payload,
            rejection.reason,
            rejection.detail,
            about,
            arrival.received_at,
        )
    )


def readable_id(arrival: Arrival, root: str) -> str | None:
    """The id of the verdict that the message is about, where it can be made out: its sender waits to hear of it.

    None for what is no id to the contract either: `pcb/recorded` cannot name it.
    """
    if len(arrival.payload) > MAX_JSON_BYTES:
        return None
    try:
        data = msgpack.unpackb(arrival.payload) if arrival.kind == "evidence" else json.loads(arrival.payload)
        return (
            _pass_id(data, root) if arrival.kind == "trigger" else _ID.validate_python(data["verdict_id"], strict=True)
        )
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError, msgpack.UnpackException):
        return None


def _pass_id(data: Any, root: str) -> str:
    return verdict_id(root, _text(data["board_id"]), from_rfc3339(_text(data["triggered_at"])))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    value.encode()  # a ValueError with half a surrogate pair, which JSON lets pass
    return value
