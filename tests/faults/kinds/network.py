"""A network that breaks, slows down or plays tricks. At its far end are the Pis: edges, actuator and photo-eye."""

from collections.abc import Callable, Iterator
from random import Random

from support.cable import Cable, Condition
from support.mqtt_tampers import DropAcknowledgements, ReorderPublishes, RepeatPublishes

from faults.catalogue import fault
from faults.line import FaultLine


@fault("cable unplugged", lasts=(1.0, 4.0), root=True)
def unplugged(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.far_network.unplugged():
        yield


@fault("packets into a black hole", lasts=(1.0, 4.0), root=True)
def blackhole(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.far_network.blackhole():
        yield


@fault("network slow", lasts=(2.0, 4.0))
def slow(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.slow(0.2):
        yield


def _on_both_cables(name: str, lasts: tuple[float, float], do: Callable[[Cable, Random], Iterator[None]]) -> None:
    """Enter a fault of the Pis' cable, and the same of the PC's."""

    def at_far_end(line: FaultLine, rng: Random) -> Iterator[None]:
        yield from do(line.pi, rng)

    def at_pc(line: FaultLine, rng: Random) -> Iterator[None]:
        yield from do(line.pc, rng)

    fault(f"{name} at the Pis", lasts=lasts)(at_far_end)
    fault(f"{name} at the PC", lasts=lasts)(at_pc)


def _broken(cable: Cable, rng: Random) -> Iterator[None]:
    with cable.unplugged():
        yield


def _frozen(cable: Cable, rng: Random) -> Iterator[None]:
    with cable.frozen():
        yield


def _unacknowledged(cable: Cable, rng: Random) -> Iterator[None]:
    """Acknowledgements are lost, and then the connection: whatever was not acknowledged comes again."""
    with cable.being(Condition(tamper=lambda _: DropAcknowledgements(rng, 0.7))):
        yield
        cable.break_connections()


def _repeated(cable: Cable, rng: Random) -> Iterator[None]:
    with cable.being(Condition(tamper=lambda _: RepeatPublishes())):
        yield


def _reordered(cable: Cable, rng: Random) -> Iterator[None]:
    with cable.being(Condition(tamper=lambda _: ReorderPublishes(rng))):
        yield


_on_both_cables("connections broken", (0.0, 2.0), _broken)
_on_both_cables("connections frozen", (1.0, 5.0), _frozen)
_on_both_cables("acknowledgements lost", (1.0, 3.0), _unacknowledged)
_on_both_cables("messages repeated", (2.0, 3.0), _repeated)
_on_both_cables("messages reordered", (2.0, 3.0), _reordered)
