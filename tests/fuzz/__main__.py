"""`python -m fuzz [--packets N] [--seed S] [--only NUMBER,…]`: malformed and hostile packets at every listener.

Exit code 0 only if broker and services live, are well, and have not grown, and a healthy board goes all the way.
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fuzz.line import FuzzedLine
from fuzz.run import Outcome, fuzz, growth_bound


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--packets", type=int, default=100_000, help="at each listener (default: 100,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the packets (default: 1)")
    parser.add_argument("--only", default="", help="numbers of packets to repeat, with commas between")
    options = parser.parse_args(argv)
    logging.getLogger().setLevel(logging.CRITICAL)  # of the sessions of ours that look on
    only = [int(number) for number in options.only.split(",") if number]
    console, began = Console(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="boardline-fuzz-") as folder, FuzzedLine(Path(folder)) as line:
        outcome = fuzz(line, options.packets, options.seed, only)
    _tell(console, outcome, time.monotonic() - began)
    return 1 if outcome.wrong else 0


def _tell(console: Console, outcome: Outcome, took_s: float) -> None:
    for listener, count in outcome.by_listener.items():
        console.print(f"{count:,} packets at {listener}", highlight=False)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(outcome.sent.items()))
    console.print(f"in {took_s:.0f} s: {kinds}", highlight=False)
    table = Table("process", *("MB after a tenth", "MB after all", "may grow by"))
    for name, late in outcome.late_mb.items():
        table.add_row(name, f"{outcome.early_mb[name]:.1f}", f"{late:.1f}", f"{growth_bound(name):g}")
    console.print(table)
    for each in outcome.wrong:
        console.print(each, highlight=False, markup=False, soft_wrap=True)
    console.print("not well" if outcome.wrong else "well")


if __name__ == "__main__":
    sys.exit(main())
