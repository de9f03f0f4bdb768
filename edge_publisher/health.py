"""Whether the camera's pictures show anything: what `pcb_bus.seeing.health` says of some of them."""

import time
from collections.abc import Callable

import numpy as np

from edge_publisher import metrics
from edge_publisher.sources import Picture
from pcb_bus.errors import MessageRejected
from pcb_bus.runtime.backoff import Backoff
from pcb_bus.runtime.service import Service
from pcb_bus.seeing.health import FROZEN, TORN, Flaw, Lasting, Repeats, find_flaw
from pcb_bus.seeing.jpeg import TRUNCATED, decode_jpeg

_EVERY_S = 1.0
_SHARE = 50  # of the time goes to looking, and no more than one part of so many
_GOOD_AGAIN = 3  # looks in a row
_SETTLES_S = 5.0  # so long a camera may need for its exposure
_LEAST_REPEATS = 5


class PictureHealth:
    """Looks at a picture a second, at those that were sent for a board first, on a thread of its own.

    A camera that is frozen, or has been dark since it was opened, is opened again, ever more seldom.

    Args:
        reopen: has the camera opened again.
        frozen_after_ns: so long a source may give the same picture; None: for ever.
        sharpness: that of its pictures at the set-up.
    """

    def __init__(
        self, node: Service, reopen: Callable[[], None], frozen_after_ns: int | None, sharpness: float | None
    ) -> None:
        self._node = node
        self._reopen = reopen
        self._sharpness = sharpness
        self.look_through(frozen_after_ns)
        self._on_boards = Repeats[Picture](2, 0, _same)
        self._frozen_since: int | None = None
        self._newest: Picture | None = None
        self._of_board: Picture | None = None
        self._looked: Picture | None = None
        self._lasting = Lasting(_GOOD_AGAIN)
        self._backoff = Backoff(2 * _SETTLES_S, 300)
        self._next_look = self._next_reopening = 0.0
        self.opened(time.monotonic())
        node.every(_EVERY_S, lambda: self.look(time.monotonic()), thread="pictures")

    def look_through(self, frozen_after_ns: int | None) -> None:
        """Pictures come from a source from now on that may give the same one for so long; None: for ever."""
        self._may_repeat = frozen_after_ns is None
        self._repeats = Repeats[Picture](_LEAST_REPEATS, frozen_after_ns or 0, _same)

    def opened(self, now: float) -> None:
        """Pictures flow again, or for the first time. `now`: monotonic seconds, here and below."""
        self._seen_good = False
        self._settled_at = now + _SETTLES_S

    def arrived(self, picture: Picture) -> None:
        """Each picture of the camera, on its thread."""
        self._newest = picture
        if not self._may_repeat:
            frozen = self._repeats.see(picture, picture.captured_at)
            self._frozen_since = self._repeats.since if frozen else None

    def quality(self, picture: Picture, *, of_board: bool) -> str | None:
        """What is wrong with the camera that a picture comes from, as it is sent.

        Two boards never look the same to a sensor.
        """
        if of_board:
            self._of_board = picture
        if self._may_repeat:
            return None
        frozen = self._frozen_since is not None and picture.captured_at > self._frozen_since
        twice = of_board and self._on_boards.see(picture, picture.captured_at)
        return str(FROZEN) if frozen or twice else None

    def look(self, now: float) -> None:
        """Look at what came last, if it is time, say what is wrong with it, and do what can be done."""
        of_board, self._of_board = self._of_board, None
        picture, started = of_board or self._newest, time.monotonic()
        if picture is None or picture is self._looked or now < self._next_look:
            return
        self._looked = picture
        flaw = FROZEN if self._frozen_since is not None else self._flaw_of(picture, of_board=of_board is not None)
        self._next_look = now + _SHARE * (time.monotonic() - started)
        lasting = self._lasting.see(flaw)
        fault = f"pictures that cannot be inspected: {lasting}" if lasting else ""
        self._node.fault("pictures", fault, "warning", "the pictures are good again")
        if flaw is None:
            self._seen_good = True
            self._backoff.reset()
        elif flaw.kind == "frozen" or (flaw.kind in {"black", "start-up"} and self._never_settled(now)):
            self._open_again(flaw, now)

    def _flaw_of(self, picture: Picture, *, of_board: bool) -> Flaw | None:
        try:
            image = decode_jpeg(picture.jpeg) if picture.jpeg is not None else picture.image
            if image is not None and picture.view is not None:
                image = picture.view.of(image)
        except MessageRejected as rejection:
            return TORN if rejection.reason == TRUNCATED else None
        flaw = None if image is None else find_flaw(image, self._sharpness)
        if flaw is not None and flaw.kind in {"covered", "blurred"} and not of_board:
            return None  # there is nothing to see on an empty belt
        return flaw

    def _never_settled(self, now: float) -> bool:
        """No good picture since the camera was opened, though it had time."""
        return not self._seen_good and now >= self._settled_at

    def _open_again(self, flaw: Flaw, now: float) -> None:
        if now >= self._next_reopening:
            metrics.REOPENED.labels(flaw.kind).inc()
            self._reopen()
            self._next_reopening = now + self._backoff.next_s()


def _same(one: Picture, other: Picture) -> bool:
    if one.jpeg is not None or other.jpeg is not None or one.image is None or other.image is None:
        return one.jpeg == other.jpeg
    few = slice(None, None, 16)  # most pictures differ there already
    return np.array_equal(one.image[few, few], other.image[few, few]) and np.array_equal(one.image, other.image)
