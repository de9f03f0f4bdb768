"""Somebody says again, as inference, what inference said long ago; retained, too."""

from collections.abc import Iterator
from random import Random

from support.probe import Probe

from faults.catalogue import fault
from faults.line import FaultLine

_HEARD_S = 10.0


@fault("verdicts said again", lasts=(0.0, 1.0))
def said_again(line: FaultLine, rng: Random) -> Iterator[None]:
    verdict = str(line.topics.verdict)
    with Probe(line.broker, "viewer") as viewer, Probe(line.broker, "inference") as inference:
        viewer.subscribe(verdict)
        payloads = [each.payload for each in viewer.wait_for_count(verdict, 3, timeout=_HEARD_S)]
        for payload in rng.choices(payloads, k=10):
            inference.publish(verdict, payload, qos=1)
        inference.publish(verdict, rng.choice(payloads), qos=1, retain=True)
        line.kill("actuator")  # who comes back finds the retained one
        try:
            yield
        finally:
            inference.publish(verdict, b"", qos=1, retain=True)
