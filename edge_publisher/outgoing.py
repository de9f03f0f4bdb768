"""Frames on their way out, and the last of them, to be sent again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from edge_publisher.encoder import Encoder
from edge_publisher.sources import Picture
from edge_publisher.triggers import BoardPass
from pcb_bus.contract.codec import encode_msgpack
from pcb_bus.contract.identity import free_run_board_id, new_id
from pcb_bus.contract.messages import Frame
from pcb_bus.seeing.health import Flaw

KEPT, KEPT_BYTES = 32, 32 * 2**20
_IN_TIME_S = 2.0  # so old a frame may be when it goes out: inference drops older ones
_QUIET_S, _PATIENCE_S = 1.0, 10.0
_MOST_OVERDUE = 10_000

Quality = Callable[..., str | None]
"""Called with a picture and `of_board`: what is wrong with the camera."""


class Publish(Protocol):
    """Hands a payload to the network, which counts what it does not take, and says at the end whether it was sent."""

    def __call__(self, payload: bytes, *, on_done: Callable[[bool], object]) -> bool: ...


class Overdue:
    """Boards whose frame did not go out in time. Any thread; `now` is monotonic s."""

    def __init__(self) -> None:
        self._boards: OrderedDict[BoardPass, None] = OrderedDict()
        self._lock = threading.Lock()
        self._first = self._last = 0.0

    def note(self, board_pass: BoardPass, now: float, *, sent: bool) -> None:
        """Its frame was sent in time, perhaps at the second attempt; or it was not."""
        with self._lock:
            if sent:
                self._boards.pop(board_pass, None)
                return
            self._first, self._last = (self._first if self._boards else now), now
            self._boards[board_pass] = None
            if len(self._boards) > _MOST_OVERDUE:
                self._boards.popitem(last=False)

    def take(self, now: float) -> list[str]:
        """Those that are to be reported, once no more come, or after 10 s; each is told once."""
        with self._lock:
            if not self._boards or (now - self._last < _QUIET_S and now - self._first < _PATIENCE_S):
                return []
            boards = [board_id for board_id, _ in self._boards]
            self._boards.clear()
            return boards


class FrameSender:
    """Encodes what was chosen, hands it to the network, and remembers the last frames that show a board.

    Args:
        line_time: what the line's clock said when this machine's said that.
        on_board: told of each picture of a board, once its frame has been handed over; waits for nothing.
    """

    def __init__(
        self,
        side: str,
        encoder: Encoder,
        publish: Publish,
        quality: Quality = lambda picture, of_board: None,
        product: str | None = None,
        line_time: Callable[[int], int] = lambda at: at,
        on_board: Callable[[Picture, BoardPass], object] = lambda picture, board_pass: None,
    ) -> None:
        self._side = side
        self._line_time = line_time
        self._product = product
        self._encoder = encoder
        self._publish = publish
        self._quality = quality
        self._on_board = on_board
        self._kept: OrderedDict[BoardPass, tuple[str, bytes]] = OrderedDict()
        self.overdue = Overdue()
        self.paused = False
        """Nothing is sent but what is asked for again."""

    def send(self, picture: Picture, board_pass: BoardPass | None = None, flaw: Flaw | None = None) -> str | None:
        """The id of the new frame; None if the picture cannot be encoded, or nothing is to be sent.

        A frame that the network does not take now is kept like any other: it may be asked for again.

        Args:
            flaw: why the picture does not show all of the board.
        """
        encoded = None if self.paused else self._encoder.encode(picture)
        if encoded is None:
            return None
        board_id, triggered_at = board_pass or (None, None)
        frame = Frame(
            side=self._side,
            board_id=board_id,
            triggered_at=triggered_at,
            frame_id=new_id(),
            captured_at=self._line_time(picture.captured_at),
            width=encoded.width,
            height=encoded.height,
            jpeg=encoded.jpeg,
            quality=self._quality(picture, of_board=board_pass is not None) or (flaw and str(flaw)),
            product=self._product,
        )
        payload = encode_msgpack(frame)
        if board_pass is not None:
            self._keep(board_pass, frame.frame_id, payload)
        self._hand_over(payload, board_pass)
        if board_pass is not None:
            self._on_board(picture, board_pass)
        return frame.frame_id

    def send_alone(self, picture: Picture) -> str | None:
        """The same for a picture that is a board by itself, which nobody announces."""
        return self.send(picture, (free_run_board_id(new_id()), self._line_time(picture.captured_at)))

    def resend(self, board_id: str, triggered_at: int | None) -> str | None:
        """Send the frame of that pass again, of the board's last pass if `triggered_at` is None.

        Its frame id; None if there is no such frame.
        """
        found = next(
            (each for each in reversed(self._kept) if each[0] == board_id and triggered_at in {None, each[1]}), None
        )
        if found is None:
            return None
        frame_id, payload = self._kept[found]
        self._hand_over(payload, found)
        return frame_id

    def _hand_over(self, payload: bytes, board_pass: BoardPass | None) -> None:
        begun = time.monotonic()

        def done(accepted: bool) -> None:
            now = time.monotonic()
            if board_pass is not None:
                self.overdue.note(board_pass, now, sent=accepted and now - begun <= _IN_TIME_S)

        if not self._publish(payload, on_done=done):
            done(accepted=False)

    def _keep(self, key: BoardPass, frame_id: str, payload: bytes) -> None:
        self._kept[key] = frame_id, payload
        while len(self._kept) > KEPT or (
            len(self._kept) > 1 and sum(len(each) for _, each in self._kept.values()) > KEPT_BYTES
        ):
            self._kept.popitem(last=False)
