"""What is committed together: the rows of many messages by table, each key once. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pcb_bus.contract.messages import Recorded
from recorder.rows import Row

_IDS_A_MESSAGE = 200
_LIST_OF_KIND = {"verdict": "verdicts", "actuation": "actuations", "trigger": "triggers"}


@dataclass(frozen=True, slots=True)
class TriggerRecord:
    """A board that was announced."""

    row: Row


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A message that cannot become a row of its own kind, with the reason."""

    row: Row


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """A verdict: its row, and those of the sides that were seen."""

    row: Row
    sides: list[Row]


@dataclass(frozen=True, slots=True)
class ActuationRecord:
    """A report of the actuator."""

    row: Row


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A picture that is on disk, and its heat map if it has one."""

    row: Row
    heat: Row | None = None


@dataclass(frozen=True, slots=True)
class LogRecord:
    """An event."""

    row: Row


Record = VerdictRecord | ActuationRecord | TriggerRecord | ImageRecord | LogRecord | RejectedRecord


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows by the key of their table. Of two with the same key the first stands, as in the database."""

    verdicts: dict[str, VerdictRecord] = field(default_factory=dict)
    actuations: dict[tuple[str, str], Row] = field(default_factory=dict)
    images: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    logs: dict[str, Row] = field(default_factory=dict)
    triggers: dict[str, Row] = field(default_factory=dict)
    rejected: dict[str, Row] = field(default_factory=dict)


def group(records: Iterable[Record]) -> Batch:
    batch = Batch()
    for record in records:
        row = record.row
        match record:
            case VerdictRecord():
                batch.verdicts.setdefault(row["verdict_id"], record)
            case ActuationRecord():
                batch.actuations.setdefault((row["verdict_id"], row["outcome"]), row)
            case ImageRecord():
                for picture in filter(None, (row, record.heat)):
                    batch.images.setdefault((picture["verdict_id"], picture["camera_id"], picture["kind"]), picture)
            case LogRecord():
                batch.logs.setdefault(row["digest"], row)
            case TriggerRecord():
                batch.triggers.setdefault(row["verdict_id"], row)
            case RejectedRecord():
                batch.rejected.setdefault(row["digest"], row)
    return batch


def recorded_messages(records: Iterable[Record]) -> Iterator[Recorded]:
    """What to say on `pcb/recorded` once `records` are committed; cut so that each message stays small."""
    named: dict[str, dict[str, None]] = {"verdicts": {}, "actuations": {}, "triggers": {}}
    for record in records:
        if kind := _named_under(record):
            named[kind][record.row["verdict_id"]] = None
    verdicts, actuations, triggers = (tuple(ids) for ids in named.values())
    for start in range(0, max(map(len, named.values())), _IDS_A_MESSAGE):
        part = slice(start, start + _IDS_A_MESSAGE)
        yield Recorded(verdicts=verdicts[part], actuations=actuations[part], triggers=triggers[part])


def _named_under(record: Record) -> str | None:
    """The list of `Recorded` that names the record, None for what nobody keeps until it is named."""
    match record:
        case VerdictRecord():
            return "verdicts"
        case TriggerRecord():
            return "triggers"
        case ActuationRecord() if record.row["outcome"] != "duplicate":
            # That a verdict came again is not its report: the actuator keeps that until it is named.
            return "actuations"
        case RejectedRecord() if record.row["verdict_id"] is not None:
            # What will never become a row of its kind is named too, or its sender would send it for ever.
            return _LIST_OF_KIND.get(record.row["kind"])
    return None
