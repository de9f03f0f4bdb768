"""The stage between the network thread and the engine: a frame that came is read, checked, let in, and decoded."""

import time

from inference_subscriber import metrics
from inference_subscriber.boards import Boards
from inference_subscriber.intake import FrameLimits, decode_picture, read_frame
from inference_subscriber.pictures import Picture
from pcb_bus.contract.messages import Frame
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession
from pcb_bus.runtime.queues import Inbox


class FrameStage:
    """Decodes the frames that are let in. A picture is decoded only once its board is known to wait for it."""

    def __init__(self, session: MqttSession, boards: Boards, pictures: Inbox[Picture], limits: FrameLimits) -> None:
        self._session = session
        self._boards = boards
        self._pictures = pictures
        self._limits = limits

    def receive(self, delivery: Delivery) -> None:
        """Deal with what came on `pcb/frame/<side>`."""
        side = delivery.topic.rsplit("/", 1)[-1]
        try:
            frame = read_frame(side, delivery.payload, delivery.received_at, self._limits)
            if self._boards.admit(frame, delivery.received_at):
                self._decode(frame)
        except MessageRejected as rejection:
            self._session.reject("frame", rejection)

    def _decode(self, frame: Frame) -> None:
        started = time.perf_counter()
        try:
            image = decode_picture(frame)
        except MessageRejected:
            self._boards.lose(frame)
            raise
        metrics.DECODE_MS.observe((time.perf_counter() - started) * 1e3)
        self._pictures.put(Picture(frame, image))
