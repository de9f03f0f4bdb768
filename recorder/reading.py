"""From deliveries to records: decode, check, and put a picture on disk."""

from collections.abc import Sequence
from typing import Literal

from pcb_bus.codec import decode_json, decode_msgpack
from pcb_bus.errors import MessageRejected
from pcb_bus.messages import Actuation, Event, Evidence, Verdict
from pcb_bus.session import Delivery
from recorder.batch import ActuationRecord, ImageRecord, LogRecord, Record, VerdictRecord
from recorder.images import ImageStore
from recorder.rows import actuation_row, image_row, inspection_row, log_row, side_rows

Kind = Literal["verdict", "actuation", "evidence", "event"]


class Reader:
    """Reads what the recorder subscribes to. `sides` are those that the line has."""

    def __init__(self, images: ImageStore, sides: Sequence[str]) -> None:
        self._images = images
        self._sides = frozenset(sides)
        self._readers = {
            "verdict": self._verdict,
            "actuation": self._actuation,
            "evidence": self._evidence,
            "event": self._event,
        }

    def read(self, kind: Kind, delivery: Delivery) -> Record:
        """The rows of one message.

        Raises:
            MessageRejected: the payload breaks the contract.
            OSError: the picture could not be written.
        """
        return self._readers[kind](delivery)

    def _verdict(self, delivery: Delivery) -> Record:
        verdict = decode_json(Verdict, delivery.payload)
        _check_id(verdict.verdict_id)
        return VerdictRecord(inspection_row(verdict, delivery.received_at), side_rows(verdict))

    def _actuation(self, delivery: Delivery) -> Record:
        report = decode_json(Actuation, delivery.payload)
        _check_id(report.verdict_id)
        return ActuationRecord(actuation_row(report, delivery.received_at))

    def _evidence(self, delivery: Delivery) -> Record:
        evidence = decode_msgpack(Evidence, delivery.payload)
        _check_id(evidence.verdict_id)
        if evidence.side not in self._sides:
            raise MessageRejected("unknown_side", f"{evidence.side} is not a side of this line")
        return ImageRecord(image_row(evidence, self._images.save(evidence.jpeg), delivery.received_at))

    def _event(self, delivery: Delivery) -> Record:
        return LogRecord(log_row(decode_json(Event, delivery.payload), delivery.payload))


def _check_id(verdict_id: str) -> None:
    if verdict_id.endswith(" "):
        # MySQL compares keys without the spaces at their end, and would take it for another verdict.
        raise MessageRejected("schema", "verdict_id: ends with a space")
