"""Commands that nobody may obey: retained ones, and those whose asker was told that they failed, or has given up."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from random import Random

from support.probe import Probe

from faults.catalogue import fault
from faults.line import FaultLine
from faults.operator import LOGIN
from pcb_bus.contract.codec import encode_json

_DELIVERED_S = 30.0

Outage = Callable[[FaultLine], AbstractContextManager[None]]


@fault("retained commands")
def retained(line: FaultLine, rng: Random) -> Iterator[None]:
    operator, topic = line.operator, line.operator.topic
    with operator.disarmed("only retained commands said otherwise"), Probe(line.broker, LOGIN) as foreign:
        for command in rng.sample(operator.dangerous, 3):
            foreign.publish(topic, encode_json(command), retain=True)
            operator.check_disarmed()
            line.kill("actuator")  # who comes back finds it
            operator.check_disarmed()
        yield
        foreign.publish(topic, b"", retain=True)


def _across(name: str, lasts: tuple[float, float], outage: Outage, *, root: bool = False) -> None:
    """Enter a fault: commands are asked for during this outage."""

    def ask(line: FaultLine, rng: Random) -> Iterator[None]:
        with line.operator.disarmed(), Probe(line.broker, LOGIN) as foreign:
            with outage(line):
                sent = line.operator.ask_in_vain(rng, foreign)
                yield
            foreign.wait_answered(sent, _DELIVERED_S)  # it says it again once it can

    fault(f"commands: {name}", lasts=lasts, root=root)(ask)


_across("broker down", (0.0, 2.0), lambda line: line.broker_down())
_across("broker frozen", (0.0, 4.0), lambda line: line.broker.frozen())
_across("Pis cut off", (0.0, 4.0), lambda line: line.pi.unplugged())
_across("Pis frozen", (0.0, 4.0), lambda line: line.pi.frozen())
_across("cable unplugged", (0.0, 4.0), lambda line: line.far_network.unplugged(), root=True)
_across("actuator frozen", (0.0, 3.0), lambda line: line.frozen("actuator"))
