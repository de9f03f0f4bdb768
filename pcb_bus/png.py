"""What a PNG says of itself, read without decoding it."""

from pcb_bus.errors import MessageRejected
from pcb_bus.jpeg import PictureSize, check_size

START = b"\x89PNG\r\n\x1a\n"
_HEADER = b"\0\0\0\x0dIHDR"
_END = b"\0\0\0\0IEND\xaeB`\x82"


def inspect_png(data: bytes, *, max_pixels: int) -> PictureSize:
    """Check that `data` is one whole PNG of a sane size (ISO/IEC 15948, clause 5).

    Raises:
        MessageRejected: `not_png`, `truncated_png`, `empty_image` or `too_many_pixels`.
    """
    if not data.startswith(START + _HEADER):
        raise MessageRejected("not_png", "does not start with the signature and IHDR")
    if not data.endswith(_END):
        raise MessageRejected("truncated_png", "does not end with IEND")
    at = len(START + _HEADER)
    size = PictureSize(int.from_bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8]))
    check_size(size, max_pixels)
    return size
