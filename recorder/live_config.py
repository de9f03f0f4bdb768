"""The values of `system_config`: which keys there are, what they may be, and telling the line of them.

Another program may write the table, so it is read again and again, and a value that makes no sense is left out.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import Engine, Text, select, type_coerce
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.codec import encode_json, first_error
from pcb_bus.contract.messages import LiveConfig, Name, Whole
from pcb_bus.contract.times import now_ns
from recorder.database import for_reading, write_error
from recorder.errors import DatabaseDown
from recorder.tables import SystemConfig

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_Share = Annotated[float, Field(ge=0, le=1)]


def _is(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=_STRICT)


KNOWN: Mapping[str, TypeAdapter[Any]] = {
    "jpeg_quality": _is(Annotated[Whole, Field(ge=1, le=100)]),
    "fps": _is(Annotated[float, Field(gt=0, le=1000)]),
    "confidence": _is(_Share),
    "class_confidence": _is(dict[Name, _Share]),
    "anomaly_threshold": _is(_Share),
    "retention_days": _is(Annotated[float, Field(gt=0, le=100_000)]),
    "alert_defect_rate": _is(_Share),
}
"""What each key may be; `topics.md` says it in words."""


def check(key: str, value: Any) -> Any:
    """The value, if the key may have it.

    Raises:
        ValueError: an unknown key, or a value out of its range; one line.
    """
    kind = KNOWN.get(key)
    if kind is None:
        raise ValueError(f"{key}: unknown key; there are {', '.join(KNOWN)}")
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise ValueError(first_error(error, key, show=True)) from None


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands in the table: the values that make sense, and by key what is wrong with the others."""

    values: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def interpret(rows: Mapping[str, Any]) -> Reading:
    """`rows` maps a key to its JSON; a number may stand as such, for SQLite makes one of it."""
    reading = Reading()
    for key, text in sorted(rows.items()):
        try:
            reading.values[key] = check(key, json.loads(text) if isinstance(text, str) else text)
        except (json.JSONDecodeError, RecursionError):
            reading.faults[key] = f"{key}: not JSON: {_cut(text)}"
        except ValueError as error:
            reading.faults[key] = str(error)
    return reading


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"


def read_table(engine: Engine) -> Reading:
    """What stands in `system_config` now.

    Raises:
        DatabaseDown: it cannot be read.
    """
    # As text: one row that is not JSON, by another program's hand, must not hide the others.
    columns = (SystemConfig.key, type_coerce(SystemConfig.value, Text).label("text"))
    try:
        with for_reading(engine).connect() as connection:
            return interpret({row.key: row.text for row in connection.execute(select(*columns))})
    except SQLAlchemyError as error:
        raise DatabaseDown(str(write_error(error))) from error


class LiveValues:
    """The values that hold now, for the recorder's own parts and for the line.

    Args:
        engine: the database.
        publish: sends a payload to `pcb/config`, retained; False if it was not taken.
        say: publishes an event of the recorder.
    """

    def __init__(self, engine: Engine, publish: Callable[[bytes], bool], say: Callable[..., None]) -> None:
        self._engine = engine
        self._publish = publish
        self._say = say
        self._reading: Reading | None = None
        self._to_publish = threading.Event()

    def get(self, key: str) -> Any:
        """The live value; None where there is none, and the settings hold. On any thread."""
        return None if self._reading is None else self._reading.values.get(key)

    def connected(self) -> None:
        """A new connection: the line is told again at the next look. On any thread."""
        self._to_publish.set()

    def look(self) -> None:
        """Read the table, and tell the line what changed.

        Raises:
            DatabaseDown: the table cannot be read; what held before still holds.
        """
        reading, before = read_table(self._engine), self._reading
        self._reading = reading
        for key, fault in reading.faults.items():
            if before is None or before.faults.get(key) != fault:
                self._say("warning", f"system_config is ignored in part: {fault}", key=key)
        if before is None or before.values != reading.values:
            self._to_publish.set()
        self._tell(reading.values)

    def _tell(self, values: dict[str, Any]) -> None:
        if self._to_publish.is_set():
            self._to_publish.clear()
            if not self._publish(encode_json(LiveConfig(values=values, updated_at=now_ns()))):
                self._to_publish.set()
