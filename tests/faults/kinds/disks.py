"""Disks without one byte left, and disks that hang: there nothing fails, and nothing goes on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import Random

import pymysql
from support.mariadb import MariaDb
from support.probe import Probe

from faults.catalogue import fault
from faults.line import DATABASE, DISKS_MB, DOWNSTREAM, SAFE_AFTER_S, THAT_HANG, FaultLine, wait
from faults.operator import LOGIN, NotAsPromised
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Command

_TOLD_S = 12.0  # that long it may take until a node says that its disk hangs
_DECIDED_S = 0.1
_ROW_S = 5.0
_MOMENT_S = 0.5  # that long it may take until gates are off
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
        _shrink(line.mariadb, f"{triggers} DROP COLUMN IF EXISTS filler")


def _shrink(mariadb: MariaDb, statement: str) -> None:
    """This server may abort when its files cannot grow, also at this moment; elsewhere systemd starts it again."""
    try:
        mariadb.start()
        mariadb.execute(statement)
    except pymysql.err.OperationalError:
        mariadb.kill()
        mariadb.start()
        mariadb.execute(statement)


@fault("disk full: spool + database away", lasts=(2.0, 4.0), root=True)
def spool_needed(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.disks["spool"].full(), line.to_database.unplugged():
        yield


def _hanging(disk: str, node: str) -> Callable[[FaultLine, Random], Iterator[None]]:
    def hang(line: FaultLine, rng: Random) -> Iterator[None]:
        with line.hanging(disk):
            _wait_until_told(line, node)
            yield

    return hang


def _wait_until_told(line: FaultLine, node: str) -> None:
    """Wait until a node says that it is degraded, and why."""
    if not line.witness.wait_until(lambda: "hang" in line.witness.trouble(node), _TOLD_S):
        raise NotAsPromised(f"{node} says nothing of a hang, only: {line.witness.trouble(node) or 'nothing'}")


def _hanging_and_killed(disk: str, node: str) -> Callable[[FaultLine, Random], Iterator[None]]:
    def hang_and_kill(line: FaultLine, rng: Random) -> Iterator[None]:
        with line.hanging(disk):
            wait(rng.uniform(0.0, 1.0))
            line.kill(node)  # it is dead once the disk goes on
            yield

    return hang_and_kill


for _disk, _node in THAT_HANG.items():
    fault(f"disk hangs: {_disk}", lasts=(0.0, 2.0), loop=True)(_hanging(_disk, _node))
    fault(f"disk hangs: {_disk} + {_node} killed", lasts=(0.0, 2.0), loop=True)(_hanging_and_killed(_disk, _node))


@fault("picture store hangs", lasts=(2.0, 4.0), loop=True)
def hanging_pictures(line: FaultLine, rng: Random) -> Iterator[None]:
    """Rows wait for no picture."""
    with line.hanging("images"):
        yield
        _expect_rows(line, "hangs")


@fault("picture store slow", lasts=(2.0, 4.0))
def slow_pictures(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.slow_pictures(rng.uniform(0.1, 0.5)):
        yield
        _expect_rows(line, "is slow")


def _expect_rows(line: FaultLine, what: str) -> None:
    board = line.send_board("scrap")
    if not line.witness.wait_until(lambda: line.has_row(board), _ROW_S):
        raise NotAsPromised(f"a row waits for the store of pictures, which {what}")
    if "database" in line.witness.trouble("recorder"):
        raise NotAsPromised(f"the recorder takes a store of pictures that {what} for a dead database")


@fault("disk hangs: spool + database away", lasts=(0.0, 2.0), loop=True)
def hanging_spool_needed(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.hanging("spool"), line.to_database.unplugged():
        _wait_until_told(line, "recorder")
        yield


def _send_board_downstream(line: FaultLine) -> None:
    """It is decided on, and waits for its time, when this returns."""
    line.send_board(DOWNSTREAM)
    wait(_DECIDED_S)


@fault("disk hangs: ledger + gates disarmed", lasts=(2.0, 4.0), loop=True)
def disarm_at_once(line: FaultLine, rng: Random) -> Iterator[None]:
    with ExitStack() as hanging, Probe(line.broker, LOGIN) as foreign:
        _send_board_downstream(line)
        hanging.enter_context(line.hanging("ledger"))
        wait(rng.uniform(0.0, 0.5))
        for _ in range(5):  # what waits for the disk when the operator wants the gates off, which is the last word
            foreign.publish(line.operator.topic, encode_json(Command(command="arm")))
        with line.operator.disarmed("the gates were disarmed while a disk hung", within_s=_MOMENT_S):
            yield
            hanging.close()  # what waited for the disk comes now


@fault("disk hangs: ledger + Pis cut off", lasts=(2.0, 4.0), loop=True)
def safe_at_once(line: FaultLine, rng: Random) -> Iterator[None]:
    silence = line.operator.silence("the broker was cut off while a disk hung", SAFE_AFTER_S + _MOMENT_S)
    _send_board_downstream(line)
    with line.hanging("ledger"), line.pi.unplugged(), silence:
        yield


@fault("disk hangs: ledger + actuator asked to stop", lasts=(2.0, 3.0), loop=True)
def stop_at_once(line: FaultLine, rng: Random) -> Iterator[None]:
    _send_board_downstream(line)
    with line.hanging("ledger"):
        wait(rng.uniform(0.0, 0.5))
        line.ask_to_stop("actuator")
        with line.operator.silence("the actuator was asked to stop while a disk hung", _MOMENT_S):
            yield
