"""`python -m recorder` runs the service; `python -m recorder migrate` brings the tables up to date and ends."""

import sys

from pcb_bus.errors import ConfigError
from pcb_bus.service import EXIT_CONFIG, EXIT_FAULT, EXIT_OK, run_service
from pcb_bus.settings import load_settings
from recorder.database import bring_up_to_date, database_url
from recorder.errors import DatabaseDown
from recorder.service import NODE, build
from recorder.settings import RecorderLine

PROGRAM = "python -m recorder"


def main(argv: list[str]) -> int:
    if argv[:1] == ["migrate"]:
        return migrate(argv[1:])
    return run_service(RecorderLine, build, lambda _: NODE, argv, program=PROGRAM)


def migrate(argv: list[str]) -> int:
    """Exit code 0: up to date. 1: the database does not answer. 2: wrong configuration."""
    try:
        settings = load_settings(RecorderLine, argv, program=f"{PROGRAM} migrate")
        bring_up_to_date(database_url(settings.recorder.database_url))
    except (ConfigError, DatabaseDown) as error:
        print(f"{PROGRAM} migrate: {error}", file=sys.stderr)
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAULT
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
