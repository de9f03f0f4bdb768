"""`python -m recorder` runs the service; with the name of a command (`recorder.commands`) it does that and ends."""

import sys

from pcb_bus.runtime.process import keep_to_ourselves, run_service
from recorder.commands import COMMANDS
from recorder.service import NODE, build
from recorder.settings import RecorderLine

PROGRAM = "python -m recorder"


def main(argv: list[str]) -> int:
    command = COMMANDS.get(argv[0]) if argv else None
    if command is not None:
        return command(argv[1:], f"{PROGRAM} {argv[0]}")
    return run_service(RecorderLine, build, lambda _: NODE, argv, program=PROGRAM)


if __name__ == "__main__":
    keep_to_ourselves()
    sys.exit(main(sys.argv[1:]))
