"""Frames on their way out, and the last of them, to be sent again."""

from collections import OrderedDict
from collections.abc import Callable

from edge_publisher.encoder import Encoder
from edge_publisher.sources import Picture
from edge_publisher.triggers import BoardPass
from pcb_bus.contract.codec import encode_msgpack
from pcb_bus.contract.identity import new_id
from pcb_bus.contract.messages import Frame

KEPT = 32

Quality = Callable[..., str | None]
"""Called with a picture and `of_board`: what is wrong with the camera."""

Publish = Callable[[bytes], object]
"""Hands a payload to the network, which counts what it does not take."""


class FrameSender:
    """Encodes what was chosen, hands it to the network, and remembers the last frames that show a board."""

    def __init__(
        self,
        side: str,
        encoder: Encoder,
        publish: Publish,
        quality: Quality = lambda picture, of_board: None,
        product: str | None = None,
    ) -> None:
        self._side = side
        self._product = product
        self._encoder = encoder
        self._publish = publish
        self._quality = quality
        self._kept: OrderedDict[BoardPass, tuple[str, bytes]] = OrderedDict()

    def send(self, picture: Picture, board_pass: BoardPass | None = None) -> str | None:
        """The id of the new frame; None if the picture cannot be encoded.

        A frame that the network does not take now is kept like any other: it may be asked for again.
        """
        encoded = self._encoder.encode(picture)
        if encoded is None:
            return None
        board_id, triggered_at = board_pass or (None, None)
        frame = Frame(
            side=self._side,
            board_id=board_id,
            triggered_at=triggered_at,
            frame_id=new_id(),
            captured_at=picture.captured_at,
            width=encoded.width,
            height=encoded.height,
            jpeg=encoded.jpeg,
            quality=self._quality(picture, of_board=board_pass is not None),
            product=self._product,
        )
        payload = encode_msgpack(frame)
        if board_pass is not None:
            self._keep(board_pass, frame.frame_id, payload)
        self._publish(payload)
        return frame.frame_id

    def resend(self, board_id: str, triggered_at: int | None) -> str | None:
        """Send the frame of that pass again, of the board's last pass if `triggered_at` is None.

        Its frame id; None if there is no such frame.
        """
        kept = self._find(board_id, triggered_at)
        if kept is None:
            return None
        frame_id, payload = kept
        self._publish(payload)
        return frame_id

    def _find(self, board_id: str, triggered_at: int | None) -> tuple[str, bytes] | None:
        if triggered_at is not None:
            return self._kept.get((board_id, triggered_at))
        return next((kept for key, kept in reversed(self._kept.items()) if key[0] == board_id), None)

    def _keep(self, key: BoardPass, frame_id: str, payload: bytes) -> None:
        self._kept[key] = frame_id, payload
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
