"""`python -m faults [--boards N] [--seed N] [--seeds N] [--only NAME,…]`: every fault, and what it cost.

Exit code 0 only if nothing was lost, doubled, fired late or done for a command that had failed.
`python -m faults --stops N` stops each service N times instead, with bursts of signals.
"""

import argparse
import signal
import sys

from faults.stops import run_stops
from faults.suite import Choice, list_faults, run_suite

_ENDED = 128 + signal.SIGTERM


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--boards", type=int, default=15, help="boards that pass during each fault (default: 15)")
    parser.add_argument("--rate", type=float, default=5.0, help="boards a second (default: 5)")
    parser.add_argument("--seed", type=_seed, default=1, help="of order, moments and boards, or `random` (default: 1)")
    parser.add_argument("--seeds", type=int, default=1, help="so many runs, each with the next seed (default: 1)")
    parser.add_argument("--stops", type=int, help="stop each service so often instead, with bursts of signals")
    parser.add_argument("--only", default="", help="names of faults, or parts of them, with commas between")
    parser.add_argument("--recovery", type=float, default=40.0, help="seconds that the line may take (default: 40)")
    parser.add_argument("--list", action="store_true", help="name the faults, and end")
    parser.add_argument("--json", help="write the outcomes to this file as well")
    parser.add_argument("--keep", action="store_true", help="keep the logs although nothing is wrong")
    options = parser.parse_args(argv)
    if options.list:
        return list_faults()
    only = tuple(part.strip() for part in options.only.split(",") if part.strip())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))  # so that everything is undone then, too
    if options.stops is not None:
        return run_stops(options.stops, options.seed, only)
    choice = Choice(
        boards=options.boards,
        rate=options.rate,
        seed=options.seed,
        seeds=options.seeds,
        only=only,
        recovery_s=options.recovery,
        json=options.json,
        keep=options.keep,
    )
    return run_suite(choice)


def _seed(text: str) -> int | None:
    return None if text == "random" else int(text)


if __name__ == "__main__":
    sys.exit(main())
