"""From arrivals to records: decode, check, and put a picture on disk."""

from collections.abc import Callable, Sequence

from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Actuation, Event, Evidence, Trigger, Verdict
from pcb_bus.errors import MessageRejected
from recorder.arrival import Arrival
from recorder.batch import ActuationRecord, ImageRecord, LogRecord, TriggerRecord, VerdictRecord
from recorder.images import Images, StoredImage
from recorder.images.forms import Kind
from recorder.rows import actuation_row, heat_row, image_row, inspection_row, log_row, side_rows, trigger_row

Wanted = Callable[[str, str, str, Kind], bool]
ReadRecord = TriggerRecord | VerdictRecord | ActuationRecord | ImageRecord | LogRecord


class Reader:
    """Reads what the recorder subscribes to. `sides` are those that the line has, `root` its topics'.

    `wanted` says of verdict id, side, SHA-256 and kind whether such a picture is kept.
    """

    def __init__(self, images: Images, sides: Sequence[str], root: str, wanted: Wanted = lambda *_: True) -> None:
        self._images = images
        self._wanted = wanted
        self._sides = frozenset(sides)
        self._root = root
        self._readers = {
            "trigger": self._trigger,
            "verdict": self._verdict,
            "actuation": self._actuation,
            "evidence": self._evidence,
            "event": self._event,
        }

    def read(self, arrival: Arrival) -> ReadRecord:
        """The rows of one message.

        Raises:
            MessageRejected: the payload breaks the contract, or is a picture of a side that the line does not have.
            OSError: the picture could not be written.
            DatabaseDown: nobody knows whether the picture is wanted.
        """
        return self._readers[arrival.kind](arrival)

    def _trigger(self, arrival: Arrival) -> ReadRecord:
        trigger = decode_json(Trigger, arrival.payload)
        passed = verdict_id(self._root, trigger.board_id, trigger.triggered_at)
        return TriggerRecord(trigger_row(trigger, passed, arrival.received_at))

    def _verdict(self, arrival: Arrival) -> ReadRecord:
        verdict = decode_json(Verdict, arrival.payload)
        return VerdictRecord(inspection_row(verdict, arrival.received_at), side_rows(verdict))

    def _actuation(self, arrival: Arrival) -> ReadRecord:
        report = decode_json(Actuation, arrival.payload)
        return ActuationRecord(actuation_row(report, arrival.received_at))

    def _evidence(self, arrival: Arrival) -> ReadRecord:
        evidence = decode_msgpack(Evidence, arrival.payload)
        if evidence.side not in self._sides:
            raise MessageRejected("unknown_side", f"{evidence.side} is not a side of this line")
        if evidence.heat_map is None:
            return ImageRecord(image_row(evidence, self._keep(evidence, evidence.jpeg), arrival.received_at))
        self._images.name(evidence.heat_map, "heat")  # or nothing of it is written
        frame = image_row(evidence, self._keep(evidence, evidence.jpeg), arrival.received_at)
        heat = self._keep(evidence, evidence.heat_map, "heat")
        return ImageRecord(frame, heat_row(evidence, evidence.heat_map, heat, arrival.received_at))

    def _keep(self, evidence: Evidence, picture: bytes, kind: Kind = "frame") -> StoredImage:
        image = self._images.name(picture, kind)
        if self._wanted(evidence.verdict_id, evidence.side, image.sha256, kind):
            image = self._images.save(picture, kind)
        return image

    def _event(self, arrival: Arrival) -> ReadRecord:
        event = decode_json(Event, arrival.payload)
        return LogRecord(log_row(event, arrival.payload))
