"""The stage between the network thread and the engine: a frame that came is read, let in, decoded, and looked at."""

import time
from collections.abc import Callable, Iterable, Mapping

from inference_subscriber import metrics
from inference_subscriber.boards import Boards
from inference_subscriber.engines.base import Image
from inference_subscriber.free_run import SHOWS_A_BELT, FreeRun, Kept
from inference_subscriber.intake import FrameLimits, decode_picture, read_frame
from inference_subscriber.pictures import Picture
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession
from pcb_bus.runtime.queues import Inbox
from pcb_bus.seeing.codes import Serials
from pcb_bus.seeing.health import FROZEN, TORN, Flaw, Lasting, Repeats, find_flaw
from pcb_bus.seeing.jpeg import TRUNCATED, decode_small

_GOOD_AGAIN = 5  # pictures in a row
_REPEATED = 3


class FrameStage:
    """Decodes the frames that are let in. A picture is decoded only once its board is known to wait for it.

    One that shows nothing never reaches the engine: its side is unjudged. Of frames without a board id, only those
    that show a board are let in.

    Args:
        cameras: what they do to their pictures.
        free_run: tells which frames without a board id show one.
        serials: reads those of boards.
    """

    def __init__(
        self,
        session: MqttSession,
        boards: Boards,
        pictures: Inbox[Picture],
        limits: FrameLimits,
        cameras: "Cameras",
        free_run: FreeRun,
        serials: Serials,
    ) -> None:
        self._session = session
        self._boards = boards
        self._pictures = pictures
        self._limits = limits
        self._cameras = cameras
        self._free_run = free_run
        self._serials = serials

    def receive(self, delivery: Delivery) -> None:
        """Deal with what came on `pcb/frame/<side>`."""
        side = delivery.topic.rsplit("/", 1)[-1]
        try:
            frame = read_frame(side, delivery.payload, delivery.received_at, self._limits)
            if frame.board_id is None:
                self._glance(frame, delivery.received_at)
            else:
                self._take(frame, delivery.received_at)
        except MessageRejected as rejection:
            self._session.reject("frame", rejection)

    def look_at_the_clock(self) -> None:
        """Take the frames of boards that are due although no frame came: now and then, on the same thread."""
        self._take_all(self._free_run.due(time.monotonic_ns()))

    def _glance(self, frame: Frame, received_at: int) -> None:
        if not self._boards.in_time(frame, received_at):
            return
        if not self._free_run.is_new(frame):
            metrics.FRAMES_DROPPED.labels("out_of_order").inc()
            return
        picture = decode_small(frame.jpeg, max(frame.width, frame.height))
        kept = Kept(frame, received_at, self._cameras.glance(frame, picture))
        self._take_all(self._free_run.see(kept, picture, time.monotonic_ns()))

    def _take_all(self, chosen: Iterable[Kept]) -> None:
        for each in chosen:
            try:
                self._take(each.frame, each.received_at)
            except MessageRejected as rejection:
                self._session.reject("frame", rejection)

    def _take(self, frame: Frame, received_at: int) -> None:
        if self._boards.admit(frame, received_at):
            self._decode(frame)

    def _decode(self, frame: Frame) -> None:
        self._serials.tell(frame)
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
            self._read_serial(frame, image)

    def _read_serial(self, frame: Frame, image: Image) -> None:
        if frame.board_id is not None and frame.triggered_at is not None and frame.serial is None:
            self._serials.put(frame.side, frame.board_id, frame.triggered_at, image)


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
        flaw = self._frozen(frame) or (TORN if image is None else find_flaw(image, self._sharpness.get(frame.side)))
        self._note(frame.side, flaw)
        return flaw

    def glance(self, frame: Frame, picture: Image) -> Flaw | None:
        """The same for a frame that may show nothing but the belt: in which nothing is sharp, and nothing stands out.

        So what only boards can tell neither begins here nor ends.
        """
        flaw = self._frozen(frame) or find_flaw(picture)
        lasts = self._lasting[frame.side].flaw if frame.side in self._lasting else None
        if all(each is None or each.kind not in SHOWS_A_BELT for each in (flaw, lasts)):
            self._note(frame.side, flaw)
        return flaw

    def _note(self, side: str, flaw: Flaw | None) -> None:
        lasting = self._lasting.setdefault(side, Lasting(after=_GOOD_AGAIN))
        before = lasting.flaw
        if (after := lasting.see(flaw)) != before:
            self._tell(side, after)

    def _frozen(self, frame: Frame) -> Flaw | None:
        if "quality" in frame.model_fields_set:  # its edge sees every picture, and knows what may repeat
            return Flaw.read(frame.quality) if frame.quality else None
        repeats = self._repeats.setdefault(frame.side, Repeats(_REPEATED, NS_PER_S))
        return FROZEN if repeats.see(frame.jpeg, frame.captured_at) else None
