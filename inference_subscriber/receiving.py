"""The stages between the network thread and the engine: what came is read, checked, let in, and decoded."""

import time

from inference_subscriber import metrics
from inference_subscriber.boards import Boards
from inference_subscriber.intake import FrameLimits, decode_picture, read_frame
from inference_subscriber.pictures import Picture
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.node import Node
from pcb_bus.runtime.queues import Inbox


class TriggerStage:
    """Announces boards. A trigger that breaks the contract is acknowledged, or it would come back for ever."""

    def __init__(self, node: Node, inbox: Inbox[Delivery], boards: Boards) -> None:
        self._node = node
        self._inbox = inbox
        self._boards = boards

    def run(self) -> None:
        """Announce until the inbox is closed and empty."""
        while (delivery := self._inbox.take()) is not None:
            self._announce(delivery)

    def _announce(self, delivery: Delivery) -> None:
        try:
            trigger = decode_json(Trigger, delivery.payload)
        except MessageRejected as rejection:
            self._node.reject("trigger", rejection)
            delivery.ack()
        else:
            self._boards.announce(trigger, delivery.ack, delivery.received_at)


class FrameStage:
    """Decodes the frames that are let in. A picture is decoded only once its board is known to wait for it."""

    def __init__(
        self, node: Node, inbox: Inbox[Delivery], boards: Boards, pictures: Inbox[Picture], limits: FrameLimits
    ) -> None:
        self._node = node
        self._inbox = inbox
        self._boards = boards
        self._pictures = pictures
        self._limits = limits

    def run(self) -> None:
        """Decode until the inbox is closed and empty."""
        while (delivery := self._inbox.take()) is not None:
            self._receive(delivery)

    def _receive(self, delivery: Delivery) -> None:
        side = delivery.topic.rsplit("/", 1)[-1]
        try:
            frame = read_frame(side, delivery.payload, delivery.received_at, self._limits)
            if self._boards.admit(frame, delivery.received_at):
                self._decode(frame)
        except MessageRejected as rejection:
            self._node.reject("frame", rejection)

    def _decode(self, frame: Frame) -> None:
        started = time.perf_counter()
        try:
            image = decode_picture(frame)
        except MessageRejected:
            self._boards.lose(frame)
            raise
        metrics.DECODE_MS.observe((time.perf_counter() - started) * 1e3)
        self._pictures.put(Picture(frame, image))
