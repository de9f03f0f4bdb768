"""What the commands of `python -m recorder` share: settings, an existing database, and what is said of a failure."""

import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL, Engine

from pcb_bus.errors import ConfigError
from pcb_bus.runtime.process import EXIT_CONFIG
from pcb_bus.runtime.settings import load_settings
from recorder.database import KEY, bring_up_to_date, database_url, make_engine
from recorder.errors import DatabaseDown
from recorder.settings import RecorderLine


def line_settings(argv: list[str], program: str) -> RecorderLine:
    """Settings of the line, and of the commands what is left of their arguments.

    Raises:
        ConfigError: one line that names the key.
    """
    return load_settings(RecorderLine, argv, program=program)


def existing_database(settings: RecorderLine) -> Engine:
    """An engine that waits for its statements; a SQLite file must be there already.

    Raises:
        ConfigError: it can never be used.
        DatabaseDown: it does not answer.
    """
    url = database_url(settings.recorder.database_url)
    _check_file(url)
    bring_up_to_date(url)
    return make_engine(url, patient=True)


def run_command(program: str, action: Callable[[], int], database_down: int) -> int:
    """The exit code of `action`; a failure is one line on stderr: 2 for the configuration, or `database_down`."""
    try:
        return action()
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except DatabaseDown as error:
        print(f"{program}: the database does not answer: {error}", file=sys.stderr)
        return database_down


def _check_file(url: URL) -> None:
    if url.drivername.startswith("sqlite") and not Path(url.database or "").is_file():
        raise ConfigError(f"{KEY}: there is no database {url.database}; a recorder that ran here has made one")
