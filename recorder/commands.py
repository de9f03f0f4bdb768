"""`python -m recorder migrate`, `reconcile`, `config`, `history` and `sql-views`. Only `migrate` changes tables."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, delete, insert
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.errors import BoardlineError, ConfigError
from pcb_bus.runtime.process import EXIT_CONFIG, EXIT_FAULT, EXIT_OK
from pcb_bus.runtime.redaction import redact
from pcb_bus.runtime.settings import load_settings
from recorder.reconcile import Scope, reconcile
from recorder.settings import RecorderLine
from recorder.sql_views import Views, make, quoted, refuse_tables, script, zone_for
from recorder.statistics import touch_hours
from records.database import KEY, is_sqlite, make_engine, make_folder, read_password, reason
from records.errors import DatabaseDown
from records.live_config import KNOWN, check, read_table
from records.migrate import bring_up_to_date, check_tables
from records.picture_store import open_store
from records.queries import history
from records.tables import SystemConfig
from records.times import local_time

EXIT_GAPS, EXIT_UNKNOWN, EXIT_DATABASE_DOWN = 1, 1, 3
_UNDER_WAY = timedelta(minutes=1)  # a board that was announced a moment ago is no gap
_CONFIG_USAGE = """\
usage: {program} [KEY VALUE | KEY --unset] [settings]

Live values of the line. Without a key: lists what is set. VALUE is JSON: 90, 0.45, {{"short": 0.4}}.
Keys: {keys}.
Any setting of the line may follow, as in --database_url sqlite:///file.
Exit code: 0 done, 1 the database does not answer, 2 wrong key, value or configuration."""


def migrate(argv: list[str], program: str) -> int:
    """Exit code 0: the tables are up to date. 1: the database does not answer. 2: wrong configuration."""
    settings = load_settings(RecorderLine, argv, program=program)
    chosen = settings.recorder
    print(f"the line's time zone is {chosen.zone_and_source}")
    bring_up_to_date(chosen.url, settings.root, chosen.zone, chosen.image_url)
    return EXIT_OK


def run_reconcile(argv: list[str], program: str) -> int:
    """Exit code 0: no gap. 1: gaps. 2: wrong configuration or arguments. 3: the database does not answer."""
    options, rest = _reconcile_parser(program).parse_known_args(argv)
    settings = load_settings(RecorderLine, rest, program=program)
    chosen, line = settings.recorder, settings.root
    since, until = span_of(options.since, options.until, datetime.now(UTC), chosen.zone)
    scope = Scope(line, chosen.zone, since, until, settings.sides, chosen.oversight.gates, max(0, options.list))
    if options.files:
        scope = replace(scope, file_exists=open_store(chosen.images, chosen.image_options).exists)
    with _existing_database(settings) as engine:
        if options.rebuild:
            kept_since = datetime.now(UTC) - timedelta(days=chosen.retention.board_days)
            begin, end, kept = (local_time(each, chosen.zone) for each in (since, until, kept_since))
            hours = touch_hours(engine, line, begin, end, kept)
            print(f"{hours} hours are marked: a recorder that runs counts their statistics anew")
        result = reconcile(engine, scope)
    if options.json is not None:
        options.json.write_text(f"{result.as_json()}\n", encoding="utf-8")
    print(*result.lines(), sep="\n")
    return EXIT_GAPS if result.gap_counts else EXIT_OK


def run_config(argv: list[str], program: str) -> int:
    """Exit code 0: done. 1: the database does not answer. 2: wrong key, value or configuration."""
    if {"-h", "--help"} & set(argv):
        print(_CONFIG_USAGE.format(program=program, keys=", ".join(KNOWN)))
        return EXIT_OK
    first = next((place for place, each in enumerate(argv) if each.startswith("--")), len(argv))
    unset = "--unset" in argv
    change = _change(argv[:first], unset=unset)
    settings = load_settings(RecorderLine, [each for each in argv[first:] if each != "--unset"], program=program)
    with _existing_database(settings) as engine:
        if change is None:
            _list(engine, settings.root)
        else:
            _apply(engine, settings.root, *change, unset=unset)
    return EXIT_OK


def run_history(argv: list[str], program: str) -> int:
    """Exit code 0: shown. 1: no board has this serial. 2: wrong configuration. 3: the database does not answer."""
    parser = _Parser(
        program,
        allow_abbrev=False,
        description="Every pass of the board with this serial, on every line of the database, newest first.",
        epilog="Any setting of the line may follow, as in --database_url sqlite:///file. Exit code: 0 shown, "
        "1 no board has this serial, 2 wrong configuration, 3 the database does not answer.",
    )
    parser.add_argument("serial", metavar="SERIAL", help="as it was read")
    parser.add_argument("--last", metavar="N", type=int, default=50, help="so many passes at most (default: 50)")
    options, rest = parser.parse_known_args(argv)
    settings = load_settings(RecorderLine, rest, program=program)
    with _existing_database(settings) as engine, engine.connect() as connection:
        passes = history(connection, options.serial, max(1, options.last))
    for each in passes:
        time = each.inspection_time.isoformat(" ", "milliseconds")
        print("  ".join((time, each.line, each.board_id, each.product or "-", each.category, each.defect_type)))
    if not passes:
        print(f"no board has the serial {options.serial!r}", file=sys.stderr)
    return EXIT_OK if passes else EXIT_UNKNOWN


def run_sql_views(argv: list[str], program: str) -> int:
    """Exit code 0: they are there. 1: the database does not answer. 2: wrong configuration, or the login may not."""
    options, rest = _views_parser(program).parse_known_args(argv)
    settings = load_settings(RecorderLine, rest, program=program)
    chosen = settings.recorder
    source = str(chosen.url.database)
    if is_sqlite(chosen.url):
        raise ConfigError(f"{KEY}: programs of the earlier system read MySQL or MariaDB, not a SQLite file")
    if options.database == source:
        raise ConfigError(f"--database: {source} holds the records themselves; the views need a database of their own")
    given = None if options.password_file is None else read_password(options.password_file, "--password-file")
    login = f"{quoted(options.login)}@{quoted(options.host)}"
    with _existing_database(settings) as engine, engine.connect() as connection:
        refuse_tables(connection, options.database)
        zone = zone_for(connection, chosen.zone)
        views = Views(options.database, source, settings.root, zone, chosen.image_url)
        if options.print:
            print(*script(views, login, given), sep="\n")
            return EXIT_OK
        made = make(connection, views, login, given)
    print(f"{views.name} has views of the line {views.line} for programs of the earlier system, for the login {login}")
    if made is not None:
        print(f"its password, which is shown this once: {made}")
    return EXIT_OK


def _exit_code(run: Callable[[list[str], str], int], database_down: int, argv: list[str], program: str) -> int:
    """A failure is one line on stderr."""
    try:
        return run(argv, program)
    except (DatabaseDown, SQLAlchemyError) as error:
        print(f"{program}: the database does not answer: {reason(error)}", file=sys.stderr)
        return database_down
    except (BoardlineError, OSError) as error:
        print(f"{program}: {redact(str(error))}", file=sys.stderr)
        return EXIT_CONFIG


COMMANDS = {
    "migrate": partial(_exit_code, migrate, EXIT_FAULT),
    "reconcile": partial(_exit_code, run_reconcile, EXIT_DATABASE_DOWN),
    "history": partial(_exit_code, run_history, EXIT_DATABASE_DOWN),
    "config": partial(_exit_code, run_config, EXIT_FAULT),
    "sql-views": partial(_exit_code, run_sql_views, EXIT_FAULT),
}
"""By name: of the arguments and how the program is called, the exit code."""


@contextmanager
def _existing_database(settings: RecorderLine) -> Iterator[Engine]:
    """An engine that waits for its statements.

    Raises:
        ConfigError: it can never be used, is a SQLite file that is not there, or has tables of another version.
        DatabaseDown: it does not answer.
    """
    url = settings.recorder.url
    if is_sqlite(url):
        with suppress(PermissionError):  # which `make_folder` explains
            if not Path(url.database or "").is_file():
                raise ConfigError(f"{KEY}: there is no database {url.database}; a recorder that ran here has made one")
        make_folder(url)
    engine = make_engine(url, patient=True)
    try:
        check_tables(engine)
        yield engine
    finally:
        engine.dispose()


# reconcile


def span_of(since: str | None, until: str | None, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The last 24 h, ending a minute ago, unless something else is asked for. Times without an offset are local.

    Raises:
        ConfigError: not times, or the wrong way round.
    """
    end = _moment("--until", until, zone) if until else now - _UNDER_WAY
    begin = _moment("--since", since, zone) if since else end - timedelta(hours=24)
    if begin >= end:
        raise ConfigError(f"--since: {begin.isoformat()} is not before {end.isoformat()}")
    return begin, end


def _moment(option: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(f"{option}: not a time such as 2026-11-21 or 2026-11-21T08:00:00Z: {text}") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _reconcile_parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        program,
        allow_abbrev=False,
        description="Compares triggers, verdicts, reports of the gates, rows and statistics of one line, and names "
        "every gap between them.",
        epilog="Any setting of the line may follow, as in --database_url sqlite:///file. "
        "Exit code: 0 no gap, 1 gaps, 2 wrong configuration, 3 the database does not answer.",
    )
    parser.add_argument("--since", metavar="TIME", help="begin (default: 24 h before the end)")
    parser.add_argument("--until", metavar="TIME", help="end (default: a minute ago); local time without an offset")
    parser.add_argument("--rebuild", action="store_true", help="first mark these hours: the recorder counts them anew")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the outcome there as well")
    parser.add_argument("--files", action="store_true", help="look for the file of every picture too")
    parser.add_argument("--list", metavar="N", type=int, default=100, help="gaps of a kind to name (default: 100)")
    return parser


def _views_parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        program,
        allow_abbrev=False,
        description="Makes a database of views with the tables, columns and local times that programs of the earlier "
        "system read (docs/database.md), and a login that can read nothing else. It may be run again at any time.",
        epilog="Any setting of the line may follow, as in --database_url mysql://user@host/database. "
        "Exit code: 0 done, 1 the database does not answer, 2 wrong configuration, or the login may not.",
    )
    parser.add_argument("--database", metavar="NAME", default="pcb_inspection", help="default: pcb_inspection")
    parser.add_argument("--login", metavar="NAME", default="winforms", help="that may read it (default: winforms)")
    parser.add_argument("--host", metavar="HOST", default="%", help="from where it may come (default: %%, anywhere)")
    parser.add_argument("--password-file", metavar="FILE", type=Path, help="its password (default: a new one)")
    parser.add_argument("--print", action="store_true", help="only print the statements, for an administrator")
    return parser


# config


def _change(words: list[str], *, unset: bool) -> tuple[str, Any] | None:
    """Key and value; None: list.

    Raises:
        ConfigError: an unknown key, a value out of its range, or words too many.
    """
    if not words and not unset:
        return None
    if len(words) != (1 if unset else 2):
        raise ConfigError("write KEY VALUE, or KEY --unset, or nothing for a list")
    try:
        return words[0], None if unset else check(words[0], json.loads(words[1]))
    except json.JSONDecodeError:
        raise ConfigError(f"{words[0]}: not a value in JSON: {words[1]}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(str(error)) from None


def _apply(engine: Engine, line: str, key: str, value: Any, *, unset: bool) -> None:
    mine = SystemConfig.line == line, SystemConfig.key == key
    row = {"line": line, "key": key, "value": value, "updated_at": datetime.now(UTC)}
    with engine.begin() as connection:
        before = connection.execute(delete(SystemConfig).where(*mine)).rowcount
        if unset and not before:
            raise ConfigError(f"{key}: is not set")
        if not unset:
            connection.execute(insert(SystemConfig).values(**row))


def _list(engine: Engine, line: str) -> None:
    reading = read_table(engine, line)
    for key, value in reading.values.items():
        print(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for fault in reading.faults.values():
        print(f"ignored: {fault}", file=sys.stderr)
