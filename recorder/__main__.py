"""`python -m recorder` runs the service; with `migrate`, `reconcile` or `config` it does that and ends."""

import sys

from pcb_bus.errors import ConfigError
from pcb_bus.runtime.process import EXIT_CONFIG, EXIT_FAULT, EXIT_OK, run_service
from pcb_bus.runtime.settings import load_settings
from recorder.config_command import run_config
from recorder.database import bring_up_to_date, database_url
from recorder.errors import DatabaseDown
from recorder.reconcile.command import run_reconcile
from recorder.service import NODE, build
from recorder.settings import RecorderLine

PROGRAM = "python -m recorder"


def main(argv: list[str]) -> int:
    command = COMMANDS.get(argv[0]) if argv else None
    if command is not None:
        return command(argv[1:], f"{PROGRAM} {argv[0]}")
    return run_service(RecorderLine, build, lambda _: NODE, argv, program=PROGRAM)


def migrate(argv: list[str], program: str) -> int:
    """Exit code 0: up to date. 1: the database does not answer. 2: wrong configuration."""
    try:
        settings = load_settings(RecorderLine, argv, program=program)
        bring_up_to_date(database_url(settings.recorder.database_url))
    except (ConfigError, DatabaseDown) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAULT
    return EXIT_OK


COMMANDS = {"migrate": migrate, "reconcile": run_reconcile, "config": run_config}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
