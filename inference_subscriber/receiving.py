"""The stage between the network thread and the engine: a frame that came is read, let in, decoded, and looked at."""

import time
from collections.abc import Callable, Mapping

from inference_subscriber import metrics
from inference_subscriber.boards import Boards
from inference_subscriber.engines.base import Image
from inference_subscriber.intake import FrameLimits, decode_picture, read_frame
from inference_subscriber.pictures import Picture
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession
from pcb_bus.runtime.queues import Inbox
from pcb_bus.seeing.health import FROZEN, TORN, Flaw, Lasting, Repeats, find_flaw
from pcb_bus.seeing.jpeg import TRUNCATED

_GOOD_AGAIN = 5  # pictures in a row
_REPEATED = 3


class FrameStage:
    """Decodes the frames that are let in. A picture is decoded only once its board is known to wait for it.

    One that shows nothing never reaches the engine: its side is unjudged.

    Args:
        cameras: what they do to their pictures.
    """

    def __init__(
        self, session: MqttSession, boards: Boards, pictures: Inbox[Picture], limits: FrameLimits, cameras: "Cameras"
    ) -> None:
        self._session = session
        self._boards = boards
        self._pictures = pictures
        self._limits = limits
        self._cameras = cameras

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
        image: Image | None = None
        try:
            image = decode_picture(frame)
        except MessageRejected as rejection:
            if rejection.reason != TRUNCATED:
                self._boards.lose(frame)
                raise
        flaw = self._cameras.look(frame, image)
        metrics.DECODE_MS.observe((time.perf_counter() - started) * 1e3)
        if flaw is not None:
            self._boards.refuse(frame, flaw)
        elif image is not None:
            self._pictures.put(Picture(frame, image))


class Cameras:
    """What is wrong with the pictures of each side: with this one, and for a while.

    Args:
        sharpness: by side, that of its pictures at the set-up.
        tell: called with a side and what lasts, as it begins, changes and ends.
    """

    def __init__(self, sharpness: Mapping[str, float], tell: Callable[[str, Flaw | None], None]) -> None:
        self._sharpness = sharpness
        self._tell = tell
        self._repeats: dict[str, Repeats[bytes]] = {}
        self._lasting: dict[str, Lasting] = {}

    def look(self, frame: Frame, image: Image | None) -> Flaw | None:
        """What is wrong with this picture. `image`: None for one whose data end too early."""
        side = frame.side
        flaw = self._frozen(frame) or (TORN if image is None else find_flaw(image, self._sharpness.get(side)))
        lasting = self._lasting.setdefault(side, Lasting(after=_GOOD_AGAIN))
        before = lasting.flaw
        if (after := lasting.see(flaw)) != before:
            self._tell(side, after)
        return flaw

    def _frozen(self, frame: Frame) -> Flaw | None:
        if "quality" in frame.model_fields_set:  # its edge sees every picture, and knows what may repeat
            return Flaw.read(frame.quality) if frame.quality else None
        repeats = self._repeats.setdefault(frame.side, Repeats(_REPEATED, NS_PER_S))
        return FROZEN if repeats.see(frame.jpeg, frame.captured_at) else None
