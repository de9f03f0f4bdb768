"""The exchanges that `clock` reckons with: inference answers on `pcb/clock`, edges and the actuator ask."""

import math
import uuid

from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.messages import ClockReply, Command
from pcb_bus.contract.times import NS_PER_MS, now_ns, ns_to_ms
from pcb_bus.contract.topics import exactly
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, Subscription
from pcb_bus.runtime.clock import Exchange, Offset, OffsetEstimate
from pcb_bus.runtime.service import Service

_EVERY_S = 10.0
_AT_ONCE = 4  # after connecting: one of several is quick
_BAD_NS, _GOOD_NS = 20 * NS_PER_MS, 15 * NS_PER_MS
_NEWS_MS = 1.0
_FAULT = "this machine's clock is not the line's, which corrects its times: have chrony set it (docs/clocks.md)"


def tell_time(service: Service) -> None:
    """Answer whoever asks what time it is on the line."""

    def answer(_: Command, delivery: Delivery) -> None:
        service.answer(delivery, ClockReply(heard_at=delivery.received_at, said_at=now_ns()), qos=0)

    service.on(service.topics.clock, Command, answer, thread=None, qos=0)


class TimeFollower:
    """Keeps the clock of a node by inference's, and says how far this machine's is off. Make it before the node starts.

    It asks every 10 s, and several times at once after connecting, or when a clock was set.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._clock = service.clock
        self._estimate = OffsetEstimate()
        self._asked = b"", 0
        self._told: tuple[float, float] | None = None
        self._reply_topic = service.topics.reply(f"{service.node}/clock")
        service.session.subscribe(Subscription(exactly(self._reply_topic), self._on_answer, qos=0))
        service.session.on_up(self._ask)
        service.every(_EVERY_S, self._ask, thread="heartbeat")

    def _ask(self) -> None:
        session = self._service.session
        if session.connected:
            self._asked = token, _ = uuid.uuid4().bytes, self._clock.steady()
            question = encode_json(Command(command="clock"))
            topic, answer = self._service.topics.clock, self._reply_topic
            session.publish(topic, question, qos=0, response_topic=answer, correlation=token)

    # On the network thread

    def _on_answer(self, delivery: Delivery) -> None:
        answered_at, (token, asked_at) = self._clock.steady(), self._asked
        if delivery.correlation != token:
            return
        self._asked = b"", 0
        try:
            reply = decode_msgpack(ClockReply, delivery.payload)
        except MessageRejected as rejection:
            self._service.session.reject("reply", rejection)
            return
        self._estimate.add(Exchange(asked_at, reply.heard_at, reply.said_at, answered_at))
        measured = self._estimate.at(answered_at)
        if measured is not None:
            self._tell(self._clock.follow(measured))
        if len(self._estimate) < _AT_ONCE:
            self._ask()

    def _tell(self, off: Offset) -> None:
        certain = abs(off.ns) - off.uncertainty
        bad = certain > (_GOOD_NS if self._service.health["clock"] else _BAD_NS)
        offset, uncertainty = round(ns_to_ms(off.ns), 1), round(ns_to_ms(off.uncertainty), 1)
        again = "this machine's clock is the line's again"
        details = {"offset_ms": offset, "uncertainty_ms": uncertainty}
        self._service.fault("clock", _FAULT if bad else "", "warning", again, **details)
        told = self._told or (math.inf, math.inf)
        if max(abs(offset - told[0]), abs(uncertainty - told[1])) >= _NEWS_MS:
            self._told = offset, uncertainty
            self._service.tell(clock_offset_ms=offset, clock_uncertainty_ms=uncertainty)
