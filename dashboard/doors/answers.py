"""What programs of generation 1 read, to the field. Pure: rows and verdicts in, answers out.

Clients with Newtonsoft.Json take no notice of case, but do of underscores: so each field is there twice, in snake_case
and in camelCase.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pcb_bus.contract.messages import Box, Category, SideResult, Verdict
from pcb_bus.contract.taxonomy import Taxonomy
from records.queries import Board

COUNTED: Mapping[Category, str] = {
    "normal": "normal_count",
    "component": "component_defect_count",
    "solder": "solder_defect_count",
    "scrap": "discard_count",
    "unjudged": "unjudged_count",
}


IGNORED = frozenset({"server_url", "gpio_duration_ms"})
"""Keys of old programs that are theirs alone, or that the actuator's own configuration says."""

_CONFIG = {
    "fps": "fps",
    "jpeg_quality": "jpeg_quality",
    "max_image_retention_days": "retention_days",
    "defect_threshold": "confidence",
    "alert_defect_rate_threshold": "alert_defect_rate",
}

Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: moment.isoformat(timespec="milliseconds"), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""With the line's offset; never `Z`, which .NET turns into another day's time."""


def camel(name: str) -> str:
    """`defect_type` as `defectType`."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


class Answer(BaseModel):
    """Something in an answer, each of its fields in both spellings."""

    @model_serializer(mode="wrap")
    def _twice(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialize(self)
        return data | {camel(name): value for name, value in data.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        plain: Any = {key: value for key, value in schema.items() if key != "serialization"}
        found = handler.resolve_ref_schema(handler(plain))
        fields = found["properties"]
        found["properties"] = fields | {camel(name): about for name, about in fields.items()}
        return found


class Inspection(Answer):
    """A board. `camera_id`: the side that decided. `image_path`: where its picture is, if there is one."""

    id: int
    camera_id: str
    defect_type: str
    confidence: float
    inspection_time: Moment
    image_path: str | None
    board_id: str
    serial: str | None
    product: str | None


class Page(Answer):
    """Which part of the list this is."""

    page: int
    limit: int
    total: int
    total_pages: int


class Inspections(Answer):
    """A page of boards, newest first."""

    status: str = "ok"
    data: list[Inspection]
    pagination: Page


class Counts(Answer):
    """Boards by category. `defect_rate`: of those that were judged, in percent."""

    total_inspections: int = 0
    normal_count: int = 0
    component_defect_count: int = 0
    solder_defect_count: int = 0
    discard_count: int = 0
    unjudged_count: int = 0
    defect_rate: float = 0.0


class Statistics(Counts):
    """Some clients read the numbers in `data`, others beside it."""

    status: str = "ok"
    data: Counts


class SystemStatus(Answer):
    """Who is there, and what this machine is busy with (percent)."""

    server_online: bool
    database_online: bool
    raspberry_pi_1_online: bool
    raspberry_pi_2_online: bool
    server_cpu_usage: float
    server_memory_usage: float
    server_gpu_usage: float
    last_update: Moment


class FoundBox(BaseModel):
    """A defect, in pixels of the picture that was sent; `class` is a word of C# and Python alike, so it has no twin."""

    x1: float
    y1: float
    x2: float
    y2: float
    confidence: float
    class_name: str

    @model_serializer
    def _as_class(self) -> dict[str, Any]:
        return {**dict(self), "class": self.class_name, "className": self.class_name}


class Gate(Answer):
    """Which gate such a board would move. Nothing moves because of it."""

    pin: int
    action: str
    duration_ms: int


class Found(Answer):
    """What was found on one side."""

    camera_id: str
    defect_type: str
    confidence: float
    boxes: list[FoundBox]
    inference_time_ms: float
    quality: str | None


class Prediction(Found):
    """Of one side. `inspection_id` is 0: nothing was recorded."""

    status: str = "ok"
    timestamp: Moment
    gpio_signal: Gate | None
    inspection_id: int = 0


class DualPrediction(Answer):
    """Of a whole board."""

    status: str = "ok"
    final_defect_type: str
    confidence: float
    gpio_signal: Gate | None
    left: Found | None
    right: Found | None
    note: str
    timestamp: Moment


def inspection(board: Board, zone: ZoneInfo, image_url: str | None) -> Inspection:
    """A row of the list; its time with the line's offset."""
    fields = {name: getattr(board, name) for name in ("id", "camera_id", "defect_type", "confidence", "board_id")}
    moment = board.inspection_time.replace(tzinfo=zone)
    return Inspection(
        **fields, serial=board.serial, product=board.product, inspection_time=moment, image_path=image_url
    )


def counts(boards: Mapping[Category, int]) -> Counts:
    """Of boards by category."""
    total, unjudged = sum(boards.values()), boards.get("unjudged", 0)
    judged = total - unjudged
    bad = judged - boards.get("normal", 0)
    fields = {name: boards.get(category, 0) for category, name in COUNTED.items()}
    return Counts(total_inspections=total, defect_rate=round(100 * bad / judged, 2) if judged else 0.0, **fields)


def statistics(boards: Mapping[Category, int]) -> Statistics:
    """The same, where every client finds it."""
    found = counts(boards)
    return Statistics(**found.model_dump(include=set(Counts.model_fields)), data=found)


def prediction(verdict: Verdict, side: str, taxonomy: Taxonomy, now: datetime) -> Prediction:
    """What was found on the one side that was asked about."""
    result = verdict.sides[side]
    assert result is not None  # a side that was sent has a result
    return Prediction(**_found(result), timestamp=now, gpio_signal=_gate(result.category, taxonomy))


def dual_prediction(verdict: Verdict, sides: tuple[str, str], taxonomy: Taxonomy, now: datetime) -> DualPrediction:
    """What was found on both sides. `sides`: the line's, in the order of left and right."""
    left, right = (verdict.sides.get(side) for side in sides)
    return DualPrediction(
        final_defect_type=verdict.final_defect_type,
        confidence=verdict.confidence,
        gpio_signal=_gate(verdict.category, taxonomy),
        left=None if left is None else Found(**_found(left)),
        right=None if right is None else Found(**_found(right)),
        note="inspected on request: nothing was recorded, and no gate moved",
        timestamp=now,
    )


def _found(result: SideResult) -> dict[str, Any]:
    return {
        "camera_id": result.camera_id,
        "defect_type": result.defect_type,
        "confidence": result.confidence,
        "boxes": [*_boxes(result.boxes)],
        "inference_time_ms": result.inference_time_ms,
        "quality": result.quality,
    }


def _boxes(boxes: Iterable[Box]) -> Iterable[FoundBox]:
    for each in boxes:
        yield FoundBox(**each.model_dump())


def _gate(category: Category, taxonomy: Taxonomy) -> Gate | None:
    rule = taxonomy.categories[category]
    if rule.pin is None or rule.duration_ms is None:
        return None
    return Gate(pin=rule.pin, action="HIGH", duration_ms=rule.duration_ms)


def line_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """What an old program configures, by the keys of `system_config`; a share in percent as 0 to 1.

    Raises:
        ValueError: a key that nobody knows, or a percentage that is none; one line.
    """
    values = {}
    for key, value in given.items():
        if key in IGNORED:
            continue
        if key not in _CONFIG:
            raise ValueError(f"{key!r}: unknown key; there are {', '.join([*_CONFIG, *sorted(IGNORED)])}")
        if value is None:
            raise ValueError(f"{key}: null is no value")
        percent = key == "alert_defect_rate_threshold"
        if percent and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100):
            raise ValueError(f"{key}: a share in percent, 0 to 100")
        values[_CONFIG[key]] = value / 100 if percent else value
    return values
