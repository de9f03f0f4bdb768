"""A broker that dies, forgets or stands still."""

from collections.abc import Iterator
from random import Random

from support.probe import Probe, Received
from support.recording import lose_everything

from broker.roles import GUESTS
from faults.catalogue import fault
from faults.line import FaultLine
from faults.operator import NotAsPromised


@fault("broker killed", lasts=(0.0, 2.0))
def killed(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.broker_down():
        yield


@fault("broker killed and emptied")
def forgets(line: FaultLine, rng: Random) -> Iterator[None]:
    lose_everything(line.broker)
    yield


@fault("broker restarted", lasts=(0.0, 1.0))
def restarted(line: FaultLine, rng: Random) -> Iterator[None]:
    line.broker.stop()
    try:
        yield
    finally:
        line.broker.start()


@fault("broker frozen", lasts=(1.0, 6.0))
def frozen(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.broker.frozen():
        yield


@fault("sessions claimed by guests", lasts=(0.0, 1.0))
def claimed(line: FaultLine, rng: Random) -> Iterator[None]:
    """Whoever connects under another's name with a clean start would end its session, and throw away what waits."""
    with Probe(line.broker, "viewer") as looking:
        looking.subscribe("pcb/status/+")
        for node in line.nodes:
            for name in (node, f"pcb-{node}"):
                Probe(line.broker, rng.choice(GUESTS), client_id=name).close()
        yield
        lost = [each.topic for each in looking.received("pcb/status/+") if _is_will(each)]
    if lost:
        raise NotAsPromised(f"a guest ended the sessions of {', '.join(lost)}")


def _is_will(status: Received) -> bool:
    return not status.retain and b"connection lost" in status.payload
