"""Disks without one byte left."""

from collections.abc import Callable, Iterator
from random import Random

from faults.catalogue import fault
from faults.line import DATABASE, DISKS_MB, FaultLine

_GROW = "ALTER COLUMN filler SET DEFAULT (REPEAT('x', 1000000))"


def _full(disk: str) -> Callable[[FaultLine, Random], Iterator[None]]:
    def fill(line: FaultLine, rng: Random) -> Iterator[None]:
        with line.disks[disk].full():
            yield

    return fill


def _full_at_start(disk: str, node: str) -> Callable[[FaultLine, Random], Iterator[None]]:
    def fill_and_kill(line: FaultLine, rng: Random) -> Iterator[None]:
        with line.disks[disk].full():
            line.kill(node)
            yield

    return fill_and_kill


for _disk in sorted(DISKS_MB.keys() - {"database"}):
    fault(f"disk full: {_disk}", lasts=(1.5, 4.0), root=True)(_full(_disk))
for _disk, _node in {"images": "recorder", "outbox": "inference", "ledger": "actuator", "spool": "recorder"}.items():
    fault(f"disk full: {_disk} + {_node} killed", lasts=(2.0, 5.0), root=True)(_full_at_start(_disk, _node))


@fault("disk full: database", lasts=(3.0, 5.0), root=True)
def database(line: FaultLine, rng: Random) -> Iterator[None]:
    # The files of the tables have room for hundreds of boards; with rows of a megabyte they must grow at once.
    triggers = f"ALTER TABLE {DATABASE}.triggers"
    line.mariadb.execute(f"{triggers} ADD COLUMN filler MEDIUMTEXT DEFAULT ''", f"{triggers} {_GROW}")
    try:
        with line.disks["database"].full():
            yield
    finally:
        line.mariadb.start()  # this server may abort when its files cannot grow; elsewhere systemd starts it again
        line.mariadb.execute(f"{triggers} DROP COLUMN filler")


@fault("disk full: spool + database away", lasts=(2.0, 4.0), root=True)
def spool_needed(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.disks["spool"].full(), line.to_database.unplugged():
        yield
