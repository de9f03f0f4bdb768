"""Capture to verdict over the whole line: `python -m benchmarks.latency [--boards N] [--rate R]`.

Runs the demo's line and prints what it took, taken from timestamps that travel with the messages, beside the
figures that the design promises. Exit code 1 when one of them is missed.
"""

import argparse
import io
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from simulator.demo import Demo, DemoOptions
from simulator.line import LineOptions

LIMITS = {
    "capture to verdict, p95": ("latency_ms", "p95", 300.0, "ms"),
    "all but inference, p50": ("overhead_ms", "p50", 10.0, "ms"),
    "all but inference, p99": ("overhead_ms", "p99", 30.0, "ms"),
}
FIRST_VERDICT_LIMIT_S = 15.0


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.latency", description=__doc__)
    parser.add_argument("--boards", type=int, default=120)
    parser.add_argument("--rate", type=float, default=2.0, help="boards a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = DemoOptions(boards=given.boards, rate=given.rate, line=LineOptions(Path(folder)))
        demo = Demo(options, Console(file=io.StringIO()), threading.Event())
        accounted = demo.run()
    rows = list(_figures(demo.summary))
    _show(rows, f"{given.boards} boards, {given.rate:g} a second")
    return 0 if accounted and all(value <= limit for _, value, limit, _ in rows) else 1


def _figures(summary: Mapping[str, Any]) -> Iterator[tuple[str, float, float, str]]:
    for name, (group, percentile, limit, unit) in LIMITS.items():
        yield name, summary[group][percentile], limit, unit
    yield "start to first verdict", summary["first_verdict_s"], FIRST_VERDICT_LIMIT_S, "s"


def _show(rows: Sequence[tuple[str, float, float, str]], title: str) -> None:
    table = Table("figure", "measured", "limit", title=title, title_justify="left")
    for name, value, limit, unit in rows:
        table.add_row(name, f"{value:.1f} {unit}", f"{limit:.0f} {unit}", style="" if value <= limit else "red")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
