"""`python -m simulator demo`: the whole line on this machine. `python -m simulator draw`: pictures of its boards."""

import logging
import signal
import sys
import threading

from rich.console import Console

from broker.errors import MosquittoMissing
from pcb_bus.errors import BoardlineError, ConfigError
from pcb_bus.runtime.process import keep_to_ourselves
from simulator.demo import Demo
from simulator.drawn_set import DrawOptions, write_set
from simulator.options import parse

EXIT_OK, EXIT_FAULT, EXIT_CONFIG = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """0: done, and in a demo every board is accounted for, once. 1: not so. 2: wrong options."""
    options = parse(argv)
    command = "draw" if isinstance(options, DrawOptions) else "demo"
    logging.basicConfig(level="ERROR", format="%(levelname)s %(name)s: %(message)s")
    try:
        if isinstance(options, DrawOptions):
            print(write_set(options))
            return EXIT_OK
        return EXIT_OK if Demo(options, Console(), _stopped_by_signals()).run() else EXIT_FAULT
    except (ConfigError, MosquittoMissing) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except BoardlineError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return EXIT_FAULT


def _stopped_by_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    keep_to_ourselves()
    sys.exit(main())
