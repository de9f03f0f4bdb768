"""`python -m simulator demo`: the whole line on this machine."""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from rich.console import Console

from broker.errors import MosquittoMissing
from pcb_bus.errors import BoardlineError, ConfigError
from simulator.demo import Demo, DemoOptions
from simulator.line import LineOptions

EXIT_OK, EXIT_FAULT, EXIT_CONFIG = 0, 1, 2


def main(argv: list[str] | None = None) -> int:
    """0: every board is accounted for, once. 1: not so. 2: wrong options."""
    options = _parse(argv)
    logging.basicConfig(level="ERROR", format="%(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        return EXIT_OK if Demo(options, Console(), stop).run() else EXIT_FAULT
    except (ConfigError, MosquittoMissing) as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except BoardlineError as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_FAULT


def _parse(argv: list[str] | None) -> DemoOptions:
    parser = argparse.ArgumentParser("simulator", description=__doc__, allow_abbrev=False)
    demo = parser.add_subparsers(required=True, metavar="demo").add_parser(
        "demo", help="run broker, cameras, inference, actuator and recorder", allow_abbrev=False
    )
    demo.add_argument("--boards", type=_count, metavar="N", help="stop after N boards (default: run until Ctrl-C)")
    demo.add_argument("--rate", type=_rate, default=2.0, metavar="R", help="boards a second (default: 2)")
    demo.add_argument("--left", metavar="SOURCE", help="camera, video or folder for the left side (default: simulated)")
    demo.add_argument("--right", metavar="SOURCE", help="the same for the right side")
    demo.add_argument("--seed", type=int, default=1, help="other boards, other defects (default: 1)")
    demo.add_argument("--defects", type=_share, default=0.3, metavar="SHARE", help="share of defective sides")
    demo.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: a fresh SQLite file)")
    demo.add_argument("--folder", type=Path, default=Path("var/demo"), help="files of the run (default: var/demo)")
    given = parser.parse_args(argv)
    return DemoOptions(
        boards=given.boards,
        rate=given.rate,
        seed=given.seed,
        defect_share=given.defects,
        line=LineOptions(given.folder, {"left": given.left, "right": given.right}, given.database),
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1, not {text!r}")
    return int(text)


def _rate(text: str) -> float:
    if not 0 < (value := _number(text)) <= 20:
        raise argparse.ArgumentTypeError("more than 0 and at most 20 boards a second")
    return value


def _share(text: str) -> float:
    if not 0 <= (value := _number(text)) <= 1:
        raise argparse.ArgumentTypeError("from 0 to 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number, not {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
