"""Every message that crosses the wire, as one typed class each. `topics.md` is the public face of this module.

Inside, times are integer nanoseconds since the epoch; the codec writes them as such into MessagePack and as
RFC 3339 UTC with milliseconds into JSON. Types are strict: a number in quotes is a mistake of the sender.
Unknown fields are ignored, so that a newer sender does not break an older reader.
"""

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

from pcb_bus.contract.times import from_rfc3339, to_rfc3339

Category = Literal["normal", "component", "solder", "scrap", "unjudged"]
Outcome = Literal["fired", "late", "duplicate", "retained", "unjudged", "disarmed", "rejected", "no_gate", "unknown"]
"""`unknown`: a crash came while the pin was changing; never reported as anything surer."""
NodeState = Literal["online", "degraded", "offline"]
Level = Literal["info", "warning", "error", "critical"]


def _parse_time(value: Any, info: ValidationInfo) -> Any:
    if info.mode != "json":
        return value
    if not isinstance(value, str):
        raise ValueError("a time in JSON is an RFC 3339 string")
    return from_rfc3339(value)


_MAX_NS = 2**63 - 1
Timestamp = Annotated[
    int,
    BeforeValidator(_parse_time),
    Field(ge=0, le=_MAX_NS),
    PlainSerializer(to_rfc3339, return_type=str, when_used="json"),
]
"""Nanoseconds since the epoch, UTC."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
"""A side, a node, a class: something that stands in a topic or a table's key."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""Something for people to read."""


def _trimmed(value: str) -> str:
    if value != value.strip():
        raise ValueError("an id neither begins nor ends with white space")
    return value


Id = Annotated[Label, AfterValidator(_trimmed)]
"""A key. To MySQL `board 1` and the same with a space behind it are one key, so only the one without is an id."""

Milliseconds = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(gt=0, le=65_535)]


def _whole_number(value: Any) -> Any:
    if type(value) is not int:  # to Python, True and 1.0 are 1
        raise ValueError("must be the number 1")
    return value


Version = Annotated[Literal[1], BeforeValidator(_whole_number)]
"""Of the contract."""


class WireModel(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Message(WireModel):
    """A whole payload; `v` is the version of the contract."""

    v: Version = 1


class Trigger(Message):
    """A board stands in front of the cameras. `board_id` names one pass of one board through the station.

    `age_ms`: how old that moment was when the trigger was sent, by the sender's monotonic clock; None if it cannot say.
    """

    board_id: Id
    triggered_at: Timestamp
    source: Label
    age_ms: Milliseconds | None = None


class Frame(Message):
    """One picture of one side. `board_id` and `triggered_at` are the trigger's, None in free run."""

    side: Name
    board_id: Id | None
    triggered_at: Timestamp | None
    frame_id: Id
    captured_at: Timestamp
    width: Pixels
    height: Pixels
    jpeg: bytes = Field(min_length=1, repr=False)
    serial: Id | None = None


class Box(WireModel):
    """A defect, in pixels of the published frame; x2, y2 lie outside."""

    x1: float
    y1: float
    x2: float
    y2: float
    confidence: Probability
    class_name: Name = Field(alias="class")

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _ordered(self) -> "Box":
        if self.x2 < self.x1 or self.y2 < self.y1:
            raise ValueError("a box needs x1 <= x2 and y1 <= y2")
        return self


class SideResult(WireModel):
    """What was found on one side. `anomaly_score`: how unlike a good board it is, 0 to 1; None if nobody looked."""

    camera_id: Name
    frame_id: Id
    captured_at: Timestamp
    defect_type: Label
    category: Category
    confidence: Probability
    boxes: tuple[Box, ...] = Field(strict=False)
    anomaly_score: float | None
    inference_time_ms: Milliseconds


class GpioSignal(WireModel):
    """What the taxonomy says of the gate. For reading only: an actuator takes pin and duration from its own file."""

    pin: Annotated[int, Field(ge=0, le=27)]
    action: Literal["HIGH", "LOW"]
    duration_ms: Annotated[int, Field(gt=0, le=60_000)]


class ModelRef(WireModel):
    """Which weights judged."""

    name: Label
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


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
    sides: dict[Name, SideResult | None]
    captured_at: Timestamp
    judged_at: Timestamp
    deadline_at: Timestamp
    latency_ms: Milliseconds
    model: ModelRef
    timing: Timing | None = None

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


class Recorded(Message):
    """Committed to the database: ids of verdicts, and of the verdicts whose actuation reports or triggers are."""

    verdicts: tuple[Id, ...] = Field(default=(), strict=False)
    actuations: tuple[Id, ...] = Field(default=(), strict=False)
    triggers: tuple[Id, ...] = Field(default=(), strict=False)


class Actuation(Message):
    """What became of a verdict at the gates. `fired_at`, `duration_ms` and `latency_ms` are None unless it fired."""

    verdict_id: Id
    board_id: Id
    category: Label
    pin: int | None
    outcome: Outcome
    fired_at: Timestamp | None
    duration_ms: int | None
    latency_ms: float | None


class UnreportedVerdict(WireModel):
    """What the actuator needs to report of a verdict that it may never have heard of."""

    verdict_id: Id
    board_id: Id
    category: Label


class Unreported(Message):
    """Verdicts that are recorded, but that have no report of the gates."""

    verdicts: Annotated[tuple[UnreportedVerdict, ...], Field(strict=False, max_length=1000)]


class NodeStatus(Message):
    """Birth, life and will of a node."""

    state: NodeState
    service: Name
    node: Name
    version: str
    host: str
    started_at: Timestamp
    updated_at: Timestamp
    detail: str = ""


class Event(Message):
    """What a person should know."""

    level: Level
    source: Name
    message: str
    details: dict[str, Any]
    at: Timestamp


class LiveConfig(Message):
    """The values of `system_config` that hold now; a key that is absent means what the service's own file says."""

    values: dict[Name, Any]
    updated_at: Timestamp


class Command(Message):
    """A request to a node; the answer goes to the MQTT v5 response topic. After `expires_at` it is not carried out."""

    command: Name
    params: dict[str, Any] = Field(default_factory=dict)
    expires_at: Timestamp | None = None


class CommandReply(Message):
    """The answer to a command: `error` is None when it was done."""

    result: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
