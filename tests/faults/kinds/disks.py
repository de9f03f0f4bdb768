"""Disks without one byte left."""

from collections.abc import Callable, Iterator
from random import Random

from faults.catalogue import fault
from faults.line import DISKS_MB, FaultLine


def _full(disk: str) -> Callable[[FaultLine, Random], Iterator[None]]:
    def fill(line: FaultLine, rng: Random) -> Iterator[None]:
        with line.disks[disk].full():
            yield

    return fill


for _disk in DISKS_MB:
    fault(f"disk full: {_disk}", lasts=(1.5, 4.0), root=True)(_full(_disk))


@fault("disk full: spool, and the database away", lasts=(2.0, 4.0), root=True)
def spool_needed(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.disks["spool"].full(), line.to_database.unplugged():
        yield
