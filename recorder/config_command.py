"""`python -m recorder config`: lists, sets and removes the values that the services read while they run."""

import json
import sys
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, update
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.times import now_ns, to_datetime
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.process import EXIT_FAULT, EXIT_OK
from recorder.commands import existing_database, line_settings, run_command
from recorder.database import write_error
from recorder.errors import DatabaseDown
from recorder.live_config import KNOWN, check, read_table
from recorder.tables import SystemConfig

_USAGE = """\
usage: {program} [KEY VALUE | KEY --unset] [settings]

Without a key: lists what is set. VALUE is JSON: 90, 0.45, {{"short": 0.4}}.
Keys: {keys}.
Any setting of the line may follow, as in --database_url sqlite:///file.
Exit code: 0 done, 1 the database does not answer, 2 wrong key, value or configuration."""


def run_config(argv: list[str], program: str) -> int:
    """Exit code 0: done. 1: the database does not answer. 2: wrong key, value or configuration."""
    if {"-h", "--help"} & set(argv):
        print(_USAGE.format(program=program, keys=", ".join(KNOWN)))
        return EXIT_OK
    return run_command(program, lambda: _run(argv, program), EXIT_FAULT)


def _run(argv: list[str], program: str) -> int:
    words, rest = _words(argv)
    unset = "--unset" in rest
    change = _change(words, unset=unset)
    settings = line_settings([each for each in rest if each != "--unset"], program)
    engine = existing_database(settings)
    try:
        if change is not None:
            _apply(engine, *change)
        else:
            _list(engine)
    finally:
        engine.dispose()
    return EXIT_OK


def _words(argv: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first option, and the rest."""
    first = next((place for place, each in enumerate(argv) if each.startswith("--")), len(argv))
    return argv[:first], argv[first:]


def _change(words: list[str], *, unset: bool) -> tuple[str, Any, bool] | None:
    """Key, value, and whether it is to be removed; None: list.

    Raises:
        ConfigError: an unknown key, a value out of its range, or words too many.
    """
    if not words and not unset:
        return None
    if len(words) != (1 if unset else 2):
        raise ConfigError("write KEY VALUE, or KEY --unset, or nothing for a list")
    key = words[0]
    if unset:
        return key, None, True
    try:
        return key, check(key, json.loads(words[1])), False
    except json.JSONDecodeError:
        raise ConfigError(f"{key}: not a value in JSON: {words[1]}") from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _apply(engine: Engine, key: str, value: Any, unset: bool) -> None:
    try:
        with engine.begin() as connection:
            if unset:
                _remove(connection, key)
            else:
                _set(connection, key, value)
    except SQLAlchemyError as error:
        raise DatabaseDown(str(write_error(error))) from error


def _remove(connection: Connection, key: str) -> None:
    if not connection.execute(delete(SystemConfig).where(SystemConfig.key == key)).rowcount:
        raise ConfigError(f"{key}: is not set")


def _set(connection: Connection, key: str, value: Any) -> None:
    row = {"value": value, "updated_at": to_datetime(now_ns())}
    if not connection.execute(update(SystemConfig).where(SystemConfig.key == key).values(**row)).rowcount:
        connection.execute(insert(SystemConfig).values(key=key, **row))


def _list(engine: Engine) -> None:
    reading = read_table(engine)
    for key, value in reading.values.items():
        print(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for fault in reading.faults.values():
        print(f"ignored: {fault}", file=sys.stderr)
