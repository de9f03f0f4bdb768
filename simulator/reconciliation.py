"""The recorder's own reconciliation of a run, asked for as a person would: no service imports another."""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from simulator.records import RecordsUnreadable

_NO_GAP, _GAPS = 0, 1
_LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `python -m recorder reconcile` said, and whether it found no gap."""

    whole: bool
    text: str


def reconcile(config: Path, *, since: datetime | None = None, now: datetime | None = None) -> Outcome:
    """Compare what was recorded from `since` to `now` (UTC), files of pictures too, on the line of that configuration.

    Args:
        since: none: a day before the end.

    Raises:
        RecordsUnreadable: the records could not be compared.
    """
    # A second more: boards of this very moment are to be seen too.
    until = (now or datetime.now(UTC)) + timedelta(seconds=1)
    command = [sys.executable, "-m", "recorder", "reconcile", "--files", "--until", until.isoformat()]
    command += ["--since", since.isoformat()] if since else []
    environment = {**os.environ, "PCB_CONFIG": str(config)}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        raise RecordsUnreadable("the records could not be compared in time") from None
    if done.returncode not in (_NO_GAP, _GAPS):
        raise RecordsUnreadable(f"the records cannot be compared: {done.stderr.strip()}")
    return Outcome(done.returncode == _NO_GAP, done.stdout)
