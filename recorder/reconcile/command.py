"""`python -m recorder reconcile`."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from pcb_bus.contract.times import from_datetime
from pcb_bus.errors import ConfigError
from recorder.commands import existing_database, line_settings, run_command
from recorder.images import Images, open_images
from recorder.periods import Calendar
from recorder.reconcile.findings import Reconciliation, Span
from recorder.reconcile.run import Scope, lines, reconcile
from recorder.reconcile.statistics import StatisticsCheck
from recorder.settings import RecorderLine
from recorder.store import Store

EXIT_NO_GAP, EXIT_GAPS, EXIT_DATABASE_DOWN = 0, 1, 3
_UNDER_WAY = timedelta(minutes=1)  # a board that was announced a moment ago is no gap
_DAY = timedelta(hours=24)


def run_reconcile(argv: list[str], program: str) -> int:
    """Exit code 0: no gap. 1: gaps. 2: wrong configuration or arguments. 3: the database does not answer."""
    return run_command(program, lambda: _run(argv, program), EXIT_DATABASE_DOWN)


def _run(argv: list[str], program: str) -> int:
    options, rest = _parser(program).parse_known_args(argv)
    settings = line_settings(rest, program)
    span = span_of(options.since, options.until, datetime.now(UTC), settings.recorder.zone)
    engine = existing_database(settings)
    try:
        if options.rebuild:
            _rebuild_statistics(engine, span, settings)
        result = reconcile(engine, span, _scope(options, settings))
    finally:
        engine.dispose()
    _write_json(options.json, result)
    print(*lines(result), sep="\n")
    return EXIT_GAPS if result.has_gaps else EXIT_NO_GAP


def span_of(since: str | None, until: str | None, now: datetime, zone: ZoneInfo) -> Span:
    """The last 24 h, ending a minute ago, unless something else is asked for. Times without an offset are local.

    Raises:
        ConfigError: not times, or the wrong way round.
    """
    end = _moment("--until", until, zone) if until else now - _UNDER_WAY
    begin = _moment("--since", since, zone) if since else end - _DAY
    if begin >= end:
        raise ConfigError(f"--since: {begin.isoformat()} is not before {end.isoformat()}")
    return Span(begin, end)


def _moment(option: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: not a time such as 2026-11-21 or 2026-11-21T08:00:00Z: {text}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _write_json(path: Path | None, result: Reconciliation) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(result.as_json(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json: cannot write {path}: {error.strerror}") from None


def _rebuild_statistics(engine: Engine, span: Span, settings: RecorderLine) -> None:
    store = Store(engine, Calendar(settings.recorder.time_zone))
    store.rebuild_statistics(from_datetime(span.since), from_datetime(span.until))


def _scope(options: argparse.Namespace, settings: RecorderLine) -> Scope:
    return Scope(
        gates=settings.recorder.oversight.gates,
        listed=max(0, options.list),
        file_exists=_images(settings).exists if options.files else None,
        statistics=StatisticsCheck(Calendar(settings.recorder.time_zone)),
    )


def _images(settings: RecorderLine) -> Images:
    return open_images(settings.recorder.images, settings.recorder.image_options)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        program,
        allow_abbrev=False,
        description="Compares triggers, verdicts, reports of the gates and rows, and names every gap between them.",
        epilog="Any setting of the line may follow, as in --database_url sqlite:///file. "
        "Exit code: 0 no gap, 1 gaps, 2 wrong configuration, 3 the database does not answer.",
    )
    parser.add_argument("--since", metavar="TIME", help="begin (default: 24 h before the end)")
    parser.add_argument("--until", metavar="TIME", help="end (default: a minute ago); local time without an offset")
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="first count the statistics of these days anew: after a change of the time zone, or of the records",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the outcome there as well")
    parser.add_argument("--files", action="store_true", help="look for the file of every picture too")
    parser.add_argument("--list", metavar="N", type=int, default=100, help="gaps of a kind to name (default: 100)")
    return parser
