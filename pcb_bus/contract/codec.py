"""Payloads to messages and back. Whatever a stranger sends ends as a message or as `MessageRejected`, never else.

And what a person wrote into a YAML file: it ends as data, or as one line that says what to do.
"""

import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgpack
import yaml
from pydantic import ValidationError

from pcb_bus.contract.messages import Message
from pcb_bus.errors import ConfigError, MessageRejected

M = TypeVar("M", bound=Message)

MAX_JSON_BYTES = 256 * 1024
MAX_BINARY_BYTES = 4 * 1024 * 1024


def encode_json(message: Message) -> bytes:
    """UTF-8 JSON; times as RFC 3339 with milliseconds."""
    return message.model_dump_json(by_alias=True).encode()


def encode_msgpack(message: Message) -> bytes:
    """A MessagePack map; times as integer nanoseconds, pictures as bin."""
    packed: bytes = msgpack.packb(message.model_dump(by_alias=True))
    return packed


def decode_json(kind: type[M], payload: bytes, *, limit: int = MAX_JSON_BYTES) -> M:
    """Read one message from UTF-8 JSON.

    Raises:
        MessageRejected: `too_large`, `not_json` or `schema`.
    """
    _check_size(payload, limit)
    if payload.startswith(codecs.BOM_UTF8):
        raise MessageRejected("not_json", "starts with a byte order mark: save or send it as UTF-8 without one")
    return _checked(lambda: kind.model_validate_json(payload))


def decode_msgpack(kind: type[M], payload: bytes, *, limit: int = MAX_BINARY_BYTES) -> M:
    """Read one message from a MessagePack map.

    Raises:
        MessageRejected: `too_large`, `not_msgpack` or `schema`.
    """
    _check_size(payload, limit)
    try:
        data: Any = msgpack.unpackb(payload)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise MessageRejected("not_msgpack", str(error) or type(error).__name__) from None
    return _checked(lambda: kind.model_validate(data))


def _check_size(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        raise MessageRejected("too_large", f"{len(payload)} bytes, the limit is {limit}")


def _checked(read: Callable[[], M]) -> M:
    try:
        message = read()
    except ValidationError as error:
        reason = "not_json" if error.errors()[0]["type"] == "json_invalid" else "schema"
        rejection = MessageRejected(reason, first_error(error))
    else:
        if "v" in message.model_fields_set:
            return message
        rejection = MessageRejected("schema", "v: field required")
    # The garbage collector does not see what a ValidationError holds. A rejection that is kept must not hold one, or
    # all its callers' frames stay for ever, with every message in them.
    try:
        raise rejection
    finally:
        del rejection


def read_yaml(path: Path, *, secret: bool = False) -> Any:
    """What stands in a file; None if nothing does.

    Args:
        secret: an error does not even say where.

    Raises:
        ConfigError: it cannot be read, or is not YAML in UTF-8.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        way_out = "; run as its owner, or let this user read it" if isinstance(error, PermissionError) else ""
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{way_out}") from error
    except (UnicodeDecodeError, yaml.reader.ReaderError):
        raise ConfigError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # The parser itself fails at `!!int x`, `2026-13-45` and the like with whatever comes.
        why = "" if secret else _fault_of_yaml(error)
        raise ConfigError(f"{path}: not YAML{why}") from None


def _fault_of_yaml(error: Exception) -> str:
    """Where, and what; but nothing of the text, for what stands there may be a password."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        deep = isinstance(error, RecursionError)
        return ": nested too deeply" if deep else ": a date or a number that is none; text that looks so goes in quotes"
    grammar = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
    problem = getattr(error, "problem", None) or ""
    what = f": {' '.join(problem.split())}" if grammar and "tag handle" not in problem else ""
    return f": line {mark.line + 1}, column {mark.column + 1}{what}; text with special characters goes in quotes"


def first_error(
    error: ValidationError, *key: str, show: bool = False, without_secrets: Callable[[str], str] = str
) -> str:
    """One line for a person: `where: message (and n more)`.

    Args:
        key: where the value stands that was validated.
        show: quote the value, if it is no map or list, in which there may be secrets.
        without_secrets: what is done with a text before it is quoted.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, (*key, *first["loc"])))
    given = without_secrets(first["input"]) if isinstance(first["input"], str) else first["input"]
    value = f", not {repr(given)[:100]}" if show and not isinstance(given, dict | list) else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where and f'{where}: '}{first['msg'].removeprefix('Value error, ')}{value}{more}"
