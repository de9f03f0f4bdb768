"""From the payload of a frame to its picture. Pure: bytes in, a value or `MessageRejected` out."""

from dataclasses import dataclass

from inference_subscriber.engines.base import Image
from pcb_bus.contract.codec import MAX_BINARY_BYTES, decode_msgpack
from pcb_bus.contract.identity import new_id
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.pictures import START, inspect_jpeg
from pcb_bus.errors import MessageRejected
from pcb_bus.seeing.jpeg import decode_jpeg


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """What a frame may be."""

    sides: frozenset[str]
    max_pixels: int


def read_frame(side: str, payload: bytes, received_at: int, limits: FrameLimits) -> Frame:
    """The frame in the payload of `pcb/frame/<side>`: a MessagePack map, or a bare JPEG captured at `received_at` (ns).

    Nothing is decoded yet; the picture is whole, of a sane size, and as large as the frame says.

    Raises:
        MessageRejected: `unknown_side`, `side_mismatch`, `size_mismatch`, or what codec and `inspect_jpeg` find.
    """
    if side not in limits.sides:
        raise MessageRejected("unknown_side", f"{side!r}; the line has {', '.join(sorted(limits.sides))}")
    if payload.startswith(START):
        return _bare_frame(side, payload, received_at, limits)
    frame = decode_msgpack(Frame, payload)
    if frame.side != side:
        raise MessageRejected("side_mismatch", f"frame of {frame.side!r} on the topic of {side!r}")
    info = inspect_jpeg(frame.jpeg, max_pixels=limits.max_pixels)
    if (info.width, info.height) != (frame.width, frame.height):
        said, found = f"{frame.width}x{frame.height}", f"{info.width}x{info.height}"
        raise MessageRejected("size_mismatch", f"the frame says {said}, its JPEG {found}")
    return frame


def decode_picture(frame: Frame) -> Image:
    """The pixels of the frame.

    Raises:
        MessageRejected: `truncated_jpeg` or `undecodable_jpeg`.
    """
    image = decode_jpeg(frame.jpeg)
    if image.shape != (frame.height, frame.width, 3):
        raise MessageRejected("undecodable_jpeg", f"decodes to {image.shape[1]}x{image.shape[0]} pixels")
    return image


def _bare_frame(side: str, jpeg: bytes, received_at: int, limits: FrameLimits) -> Frame:
    if len(jpeg) > MAX_BINARY_BYTES:
        raise MessageRejected("too_large", f"{len(jpeg)} bytes, the limit is {MAX_BINARY_BYTES}")
    info = inspect_jpeg(jpeg, max_pixels=limits.max_pixels)
    return Frame(
        side=side,
        board_id=None,
        triggered_at=None,
        frame_id=new_id(),
        captured_at=received_at,
        width=info.width,
        height=info.height,
        jpeg=jpeg,
    )
