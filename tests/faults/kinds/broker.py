"""A broker that dies, forgets or stands still."""

from collections.abc import Iterator
from random import Random

from support.recording import lose_everything

from faults.catalogue import fault
from faults.line import FaultLine


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
