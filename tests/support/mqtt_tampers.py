"""What a bad network, or a bad broker, does to MQTT packets. A piece is one whole control packet."""

from random import Random

from support.cable import Tamper

PUBLISH, PUBACK = 3, 4
_QOS, _QOS_1, _DUP = 0x06, 0x02, 0x08


def kind_of(packet: bytes) -> int:
    """The control packet type, MQTT 5.0 section 2.1.2."""
    return packet[0] >> 4


def is_qos_1_publish(packet: bytes) -> bool:
    return kind_of(packet) == PUBLISH and packet[0] & _QOS == _QOS_1


class DropAcknowledgements(Tamper):
    """Of the PUBACKs, `share` do not arrive."""

    def __init__(self, rng: Random, share: float) -> None:
        self._rng = rng
        self._share = share

    def pass_on(self, packet: bytes) -> tuple[bytes, ...]:
        return () if kind_of(packet) == PUBACK and self._rng.random() < self._share else (packet,)


class RepeatPublishes(Tamper):
    """Each QoS 1 PUBLISH comes twice, the second time marked as a repeat."""

    def pass_on(self, packet: bytes) -> tuple[bytes, ...]:
        if not is_qos_1_publish(packet):
            return (packet,)
        return packet, bytes((packet[0] | _DUP,)) + packet[1:]


class ReorderPublishes(Tamper):
    """A QoS 1 PUBLISH is overtaken by the next one, or by nothing if none comes soon."""

    def __init__(self, rng: Random, share: float = 0.5) -> None:
        self._rng = rng
        self._share = share
        self._held: tuple[bytes, ...] = ()

    def pass_on(self, packet: bytes) -> tuple[bytes, ...]:
        if not is_qos_1_publish(packet):
            return (packet,)
        if not self._held and self._rng.random() < self._share:
            self._held = (packet,)
            return ()
        return packet, *self.leftover()

    def leftover(self) -> tuple[bytes, ...]:
        held, self._held = self._held, ()
        return held
