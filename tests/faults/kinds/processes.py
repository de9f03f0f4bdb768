"""Services that die, or stand still."""

import time
from collections.abc import Callable, Iterator
from random import Random

from faults.catalogue import fault
from faults.line import FaultLine

_FIRES_S = 3.0
_NODES = ("edge-left", "edge-right", "inference", "actuator", "recorder")


def _killed(node: str) -> Callable[[FaultLine, Random], Iterator[None]]:
    def kill(line: FaultLine, rng: Random) -> Iterator[None]:
        line.kill(node)
        yield

    return kill


def _frozen(node: str) -> Callable[[FaultLine, Random], Iterator[None]]:
    def freeze(line: FaultLine, rng: Random) -> Iterator[None]:
        with line.frozen(node):
            yield

    return freeze


for _node in _NODES:
    fault(f"{_node} killed")(_killed(_node))
for _node in ("inference", "actuator", "recorder"):
    fault(f"{_node} frozen", lasts=(0.5, 3.0))(_frozen(_node))


@fault("actuator killed as a gate fires")
def killed_firing(line: FaultLine, rng: Random) -> Iterator[None]:
    before, give_up_at = line.pins.stat().st_size, time.monotonic() + _FIRES_S
    line.send_board("scrap")
    while line.pins.stat().st_size == before and time.monotonic() < give_up_at:
        time.sleep(0.0002)
    line.kill("actuator")  # between the pin and the report
    yield


@fault("two services killed")
def two_killed(line: FaultLine, rng: Random) -> Iterator[None]:
    line.kill(*rng.sample(_NODES, 2))
    yield


@fault("all services killed")
def all_killed(line: FaultLine, rng: Random) -> Iterator[None]:
    line.kill(*rng.sample(_NODES, len(_NODES)))
    yield
