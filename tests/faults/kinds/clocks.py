"""Wall clocks that are stepped while the service runs, and back again. Monotonic time stays true."""

from collections.abc import Callable, Iterator
from random import Random

from faults.catalogue import fault
from faults.line import DOWNSTREAM, EDGES, FaultLine
from faults.operator import NotAsPromised
from pcb_bus.contract.times import NS_PER_S

_TRIES = 3
_STEPS_S = {"ahead": (5.0, 3600.0), "behind": (-3600.0, -5.0)}


def _stepped(node: str, low_s: float, high_s: float) -> Callable[[FaultLine, Random], Iterator[None]]:
    def step(line: FaultLine, rng: Random) -> Iterator[None]:
        ahead_ns = round(rng.uniform(low_s, high_s) * NS_PER_S)
        with line.clock_off(node, ahead_ns):
            # On a busy machine a pulse may be late, and then there is none, as promised: not three times.
            boards = (line.send_board(DOWNSTREAM, ahead_ns) for _ in range(_TRIES))
            if node in EDGES and not any(map(line.wait_until_fired_downstream, boards)):
                raise NotAsPromised(f"with the clock of {node} off, the gate downstream does not fire in its time")
            yield

    return step


@fault("clock 100 days ahead: recorder", lasts=(12.0, 15.0))
def far_ahead(line: FaultLine, rng: Random) -> Iterator[None]:
    """Longer than pictures are kept, and long enough for the recorder to look for old ones."""
    with line.clock_off("recorder", 100 * 86_400 * NS_PER_S):
        yield


@fault("clock 100 days ahead: recorder killed", lasts=(12.0, 15.0))
def far_ahead_at_start(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.clock_off("recorder", 100 * 86_400 * NS_PER_S):
        line.kill("recorder")
        yield


for _node in ("actuator", "inference", "recorder", "edge-left"):
    for _way, _step in _STEPS_S.items():
        fault(f"clock {_way}: {_node}", lasts=(1.0, 3.0))(_stepped(_node, *_step))
