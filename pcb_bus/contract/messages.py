"""Every message that crosses the wire, as one typed class each. `topics.md` is the public face of this module.

Inside, times are integer nanoseconds since the epoch; the codec writes them as such into MessagePack and as
RFC 3339 UTC with milliseconds into JSON. Types are strict: a number in quotes is a mistake of the sender.
Unknown fields are ignored, so that a newer sender does not break an older reader. Every number and every text has
bounds: a value that is valid, but that a database or a calculation cannot hold, must not stop what comes after.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from pcb_bus.contract.times import NS_PER_S, from_rfc3339, to_rfc3339

Category = Literal["normal", "component", "solder", "scrap", "unjudged"]
Outcome = Literal["fired", "late", "duplicate", "retained", "unjudged", "disarmed", "rejected", "no_gate", "unknown"]
"""`unknown`: a crash came while the pin was changing; never reported as anything surer."""
NodeState = Literal["online", "degraded", "offline"]
Level = Literal["info", "warning", "error", "critical"]


MAX_TEXT = 2000
_MAX_NS = 7_258_118_400 * NS_PER_S  # the year 2200: a sum of two times, or one of any zone, still fits everywhere
_MAX_MS = 1e9
_MAX_NUMBER = 2**63 - 1
_MAX_DEPTH = 10
_UNPRINTABLE = re.compile(r"[\0-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and halves of a surrogate pair


def _whole(value: Any) -> Any:
    """JavaScript, Lua and C# doubles write 500 as 500.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parse_time(value: Any, info: ValidationInfo) -> Any:
    if info.mode != "json":
        return _whole(value)
    if not isinstance(value, str):
        raise ValueError("a time in JSON is an RFC 3339 string")
    return from_rfc3339(value)


def _readable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = _UNPRINTABLE.sub(" ", value)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def _storable(value: Any, levels: int = _MAX_DEPTH) -> Any:
    if isinstance(value, int | float):
        return value if abs(value) <= _MAX_NUMBER else None
    if isinstance(value, dict) and levels:
        return {_readable(str(key)): _storable(each, levels - 1) for key, each in value.items()}
    if isinstance(value, list | tuple) and levels:
        return [_storable(each, levels - 1) for each in value]
    return None if isinstance(value, dict | list | tuple | None) else _readable(str(value))


def _exact(values: dict[str, Any]) -> dict[str, Any]:
    if _storable(values) != values:
        raise ValueError("a number over 64 bits or not finite, a text with control characters, or nested too deep")
    return values


def printable(value: Any) -> Any:
    """Raises ValueError: a text with control characters, or with what is no UTF-8."""
    if isinstance(value, str) and _UNPRINTABLE.search(value):
        raise ValueError("has control characters, or is not UTF-8")
    return value


def _trimmed(value: str) -> str:
    if value != value.strip():
        raise ValueError("an id neither begins nor ends with white space")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Timestamp = Annotated[
    int,
    BeforeValidator(_parse_time),
    Field(ge=0, lt=_MAX_NS),
    PlainSerializer(to_rfc3339, return_type=str, when_used="json"),
]
"""Nanoseconds since the epoch, UTC."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
"""A side, a node, a class: something that stands in a topic or a table's key."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(printable)]
"""Something short for people to read."""

Id = Annotated[Label, AfterValidator(_trimmed)]
"""A key. To MySQL `board 1` and the same with a space behind it are one key, so only the one without is an id."""

Text = Annotated[str, BeforeValidator(_readable), PlainSerializer(_readable, return_type=str)]
"""Whatever somebody has to say. Read and written without control characters, and cut to `MAX_TEXT`, never refused."""

Details = Annotated[dict[str, Any], AfterValidator(_storable)]
"""A map of anything, for people to read: what cannot be stored is read as null."""

Values = Annotated[dict[str, Any], AfterValidator(_exact)]
"""A map of anything that somebody acts on: what cannot be stored is refused."""

Milliseconds = Annotated[float, Field(ge=0, le=_MAX_MS)]
Latency = Annotated[float, AfterValidator(lambda ms: max(-_MAX_MS, min(_MAX_MS, ms)))]
"""In ms, between the clocks of two machines: it may be anything, even less than 0, so it is cut, not refused."""

Probability = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[Whole, Field(gt=0, le=65_535)]
Coordinate = Annotated[float, Field(ge=-65_535, le=65_535)]
Pin = Annotated[Whole, Field(ge=0, le=27)]
PulseMs = Annotated[Whole, Field(gt=0, le=60_000)]
Version = Annotated[Whole, Field(ge=1, le=1)]
"""Of the contract."""


_Jpeg = Annotated[bytes, Field(min_length=1)]


class WireModel(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Message(WireModel):
    """A whole payload; `v` is the version of the contract."""

    v: Version = 1


class Trigger(Message):
    """A board stands in front of the cameras. `board_id` names one pass of one board through the station.

    `age_ms`: how old that moment was when the trigger was sent, by the sender's monotonic clock; None if it cannot say.
    `product`: what the board is; None if it does not know.
    """

    board_id: Id
    triggered_at: Timestamp
    source: Label
    age_ms: Milliseconds | None = None
    product: Label | None = None


class Frame(Message):
    """One picture of one side. `board_id` and `triggered_at` are the trigger's, None in free run.

    `quality`: what its sender found wrong with its camera, None for nothing. A sender that never looks whether its
    camera is frozen leaves it out. `product`: what its camera is set up for.
    """

    side: Name
    board_id: Id | None
    triggered_at: Timestamp | None
    frame_id: Id
    captured_at: Timestamp
    width: Pixels
    height: Pixels
    jpeg: bytes = Field(min_length=1, repr=False)
    serial: Id | None = None
    quality: Text | None = None
    product: Label | None = None


class Serial(Message):
    """What is printed on a board, as it was read on one side: after its frame has gone, so that reading delays none.

    `product`: what the serial says that the board is, None if it does not say.
    """

    side: Name
    board_id: Id
    triggered_at: Timestamp
    serial: Id
    symbology: Name
    product: Label | None = None


class Box(WireModel):
    """A defect, in pixels of the published frame; x2, y2 lie outside."""

    x1: Coordinate
    y1: Coordinate
    x2: Coordinate
    y2: Coordinate
    confidence: Probability
    class_name: Name = Field(alias="class")

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _ordered(self) -> "Box":
        if self.x2 < self.x1 or self.y2 < self.y1:
            raise ValueError("a box needs x1 <= x2 and y1 <= y2")
        return self


class SideResult(WireModel):
    """What was found on one side. `anomaly_score`: how unlike a good board it is, 0 to 1; None if nobody looked.

    `coverage`: the share of the picture that could be inspected, 0 to 1. `quality`: why it could not be; such a side is
    unjudged. Both None from a sender that does not say.
    """

    camera_id: Name
    frame_id: Id
    captured_at: Timestamp
    defect_type: Label
    category: Category
    confidence: Probability
    boxes: tuple[Box, ...] = Field(strict=False)
    anomaly_score: Probability | None
    inference_time_ms: Milliseconds
    coverage: Probability | None = None
    quality: Text | None = None


class GpioSignal(WireModel):
    """What the taxonomy says of the gate. For reading only: an actuator takes pin and duration from its own file."""

    pin: Pin
    action: Literal["HIGH", "LOW"]
    duration_ms: PulseMs


class ModelRef(WireModel):
    """Which weights judged."""

    name: Label
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RecipeRef(WireModel):
    """By which recipe a board was judged."""

    name: Label
    version: Label


class Timing(WireModel):
    """Where the time of one board went. `ready_at`: the last side was both captured and triggered."""

    ready_at: Timestamp
    inference_ms: Milliseconds


class Verdict(Message):
    """The one judgement of one board. `sides` maps a side to its result, or to None if it was not seen.

    On the wire each side is a field of its own name beside the others (`left`, `right`); a reader finds the
    sides that were seen by their `camera_id`.
    """

    verdict_id: Id
    board_id: Id
    serial: Id | None = None
    status: Literal["ok", "incomplete"]
    final_defect_type: Label
    category: Category
    confidence: Probability
    gpio_signal: GpioSignal | None
    sides: Annotated[dict[Name, SideResult | None], Field(max_length=8)]
    captured_at: Timestamp
    judged_at: Timestamp
    deadline_at: Timestamp
    latency_ms: Milliseconds
    model: ModelRef
    timing: Timing | None = None
    product: Label | None = None
    recipe: RecipeRef | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_sides(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "sides" in data:
            return data
        unknown = data.keys() - cls.model_fields.keys()
        sides = {key: data[key] for key in unknown if isinstance(data[key], dict) and "camera_id" in data[key]}
        return {**data, "sides": sides}

    @model_serializer(mode="wrap")
    def _spread_sides(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialize(self)
        sides = data.pop("sides")
        return {**data, **sides}


class Evidence(Message):
    """The frame that a verdict rests on, and a PNG to lay over it: how unlike a good board each place is, if known."""

    verdict_id: Id
    board_id: Id
    side: Name
    jpeg: bytes = Field(min_length=1, repr=False)
    heat_map: bytes | None = Field(default=None, min_length=1, repr=False)


def evidence_id(verdict_id: str, side: str) -> str:
    """How `Recorded` names the pictures of one side of a board."""
    return f"{verdict_id}/{side}"


class Recorded(Message):
    """Committed to the database: ids of verdicts, and of the verdicts whose actuation reports or triggers are.

    `evidence` (`<verdict_id>/<side>`): these pictures are in the store.
    """

    verdicts: tuple[Id, ...] = Field(default=(), strict=False)
    actuations: tuple[Id, ...] = Field(default=(), strict=False)
    triggers: tuple[Id, ...] = Field(default=(), strict=False)
    evidence: tuple[Annotated[str, Field(min_length=3, max_length=193)], ...] = Field(default=(), strict=False)


class Actuation(Message):
    """What became of a verdict at the gates. `fired_at`, `duration_ms` and `latency_ms` are None unless it fired."""

    verdict_id: Id
    board_id: Id
    category: Label
    pin: Pin | None
    outcome: Outcome
    fired_at: Timestamp | None
    duration_ms: PulseMs | None
    latency_ms: Latency | None


class UnreportedVerdict(WireModel):
    """What the actuator needs to report of a verdict that it may never have heard of."""

    verdict_id: Id
    board_id: Id
    category: Label


class Unreported(Message):
    """Verdicts that are recorded, but that have no report of the gates."""

    verdicts: Annotated[tuple[UnreportedVerdict, ...], Field(strict=False, max_length=1000)]


class NodeStatus(Message):
    """Birth, life and will of a node. The rest is None where it does not concern a node.

    `trigger`: an edge's mode; `sees`: whether its camera does; `overlooked`: boards that it saw and nobody announced.
    `leader`: the edge that announces the boards, as inference says, and as an edge has heard.
    `clock_offset_ms`: the clock of inference less the one of this machine, give or take `clock_uncertainty_ms`; None
    where nobody has measured it.
    """

    state: NodeState
    service: Name
    node: Name
    version: Text
    host: Text
    started_at: Timestamp
    updated_at: Timestamp
    detail: Text = ""
    trigger: Name | None = None
    sees: bool | None = None
    overlooked: Annotated[Whole, Field(ge=0, le=1000)] | None = None
    leader: Name | None = None
    clock_offset_ms: Annotated[float, Field(ge=-1e13, le=1e13)] | None = None
    clock_uncertainty_ms: Milliseconds | None = None


class Event(Message):
    """What a person should know."""

    level: Level
    source: Name
    message: Text
    details: Details
    at: Timestamp


class LiveConfig(Message):
    """The values of `system_config` that hold now; a key that is absent means what the service's own file says."""

    values: Annotated[dict[Name, Any], AfterValidator(_exact)]
    updated_at: Timestamp


class Command(Message):
    """A request to a node; the answer goes to the MQTT v5 response topic. After `expires_at` it is not carried out."""

    command: Name
    params: Values = Field(default_factory=dict)
    expires_at: Timestamp | None = None


class CommandReply(Message):
    """The answer to a command: `error` is None when it was done."""

    result: Details = Field(default_factory=dict)
    error: Text | None = None


class Inspect(Message):
    """Pictures of one board to inspect, by side, without a board: no record and no gate hears of it.

    The answer on the response topic is the `Verdict` that the line would have given, or a `CommandReply` with an error.
    After `expires_at` nobody is waiting any more.
    """

    pictures: Annotated[dict[Name, _Jpeg], Field(min_length=1, max_length=8, repr=False)]
    product: Label | None = None
    expires_at: Timestamp | None = None


class ClockReply(Message):
    """What inference's clock said when it was asked the time on `pcb/clock`, and when it answered."""

    heard_at: Timestamp
    said_at: Timestamp
