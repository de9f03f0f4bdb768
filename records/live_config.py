"""The values of `system_config`: which keys there are, what they may be, and what stands there.

Another program may write the table: a value that makes no sense is left out.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import Engine, LargeBinary, cast, func, select

from pcb_bus.contract.codec import first_error
from pcb_bus.contract.messages import Label, Name, Whole
from records.database import for_reading
from records.people import SystemConfig

_MOST_BYTES, _MOST_ROWS = 65_536, 1000
_Share = Annotated[float, Field(ge=0, le=1)]


def _is(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


KNOWN: Mapping[str, TypeAdapter[Any]] = {
    "jpeg_quality": _is(Annotated[Whole, Field(ge=1, le=100)]),
    "fps": _is(Annotated[float, Field(gt=0, le=1000)]),
    "product": _is(Label),
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


class Reading(NamedTuple):
    """What stands in the table: the values that make sense, and by key what is wrong with the others."""

    values: dict[str, Any]
    faults: dict[str, str]


def interpret(rows: Iterable[tuple[bytes | None, bytes | None]]) -> Reading:
    """`rows` are keys and their JSON, as whatever bytes another program wrote."""
    reading = Reading({}, {})
    for key, text in sorted((_shown(key), text or b"") for key, text in rows):
        try:
            reading.values[key] = check(key, json.loads(text))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            reading.faults[key] = f"{key}: not JSON: {_shown(text)}"
        except ValueError as error:
            reading.faults[key] = str(error)
    return reading


def _shown(stored: bytes | None) -> str:
    text = (stored or b"").decode(errors="replace")
    return text if len(text) <= 100 else f"{text[:100]}…"


def read_table(engine: Engine, line: str) -> Reading:
    """What stands in `system_config` for a line now.

    Raises:
        SQLAlchemyError: it cannot be read.
    """
    value = func.substr(cast(SystemConfig.value, LargeBinary), 1, _MOST_BYTES, type_=LargeBinary)
    rows = select(cast(SystemConfig.key, LargeBinary), value).where(SystemConfig.line == line).limit(_MOST_ROWS)
    with for_reading(engine).connect() as connection:
        return interpret((key, text) for key, text in connection.execute(rows))
