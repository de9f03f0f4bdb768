"""What a JPEG or a PNG says of itself, read without decoding it: a hostile or cut picture costs nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pcb_bus.errors import MessageRejected

START = b"\xff\xd8"
END = b"\xff\xd9"
START_OF_SCAN = 0xDA
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset(range(0xD0, 0xD8)) | {0x01}


@dataclass(frozen=True, slots=True)
class PictureSize:
    """In pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def inspect_jpeg(data: bytes, *, max_pixels: int) -> PictureSize:
    """Check that `data` is one whole JPEG of a sane size (ITU-T T.81, annex B).

    Raises:
        MessageRejected: `not_jpeg`, `truncated_jpeg`, `empty_image` or `too_many_pixels`.
    """
    if not data.startswith(START):
        raise MessageRejected("not_jpeg", "does not start with FF D8")
    if not data.rstrip(b"\0").endswith(END):
        raise MessageRejected("truncated_jpeg", "does not end with FF D9")
    return size_of_jpeg(data, segments(data), max_pixels=max_pixels)


def size_of_jpeg(data: bytes, found: Iterable[tuple[int, int]], *, max_pixels: int) -> PictureSize:
    """Its size, by the `segments` that were found in it.

    Raises:
        MessageRejected: `not_jpeg`, `empty_image` or `too_many_pixels`.
    """
    for marker, at in found:
        if marker in _FRAME_HEADERS and at + 7 <= len(data):
            size = PictureSize(int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 3 : at + 5]))
            check_size(size, max_pixels)
            return size
    raise MessageRejected("not_jpeg", "has no frame header")


def check_size(size: PictureSize, max_pixels: int) -> None:
    """Raises MessageRejected: `empty_image` or `too_many_pixels`."""
    if size.pixels == 0:
        raise MessageRejected("empty_image", f"{size.width}x{size.height} pixels")
    if size.pixels > max_pixels:
        raise MessageRejected("too_many_pixels", f"{size.width}x{size.height}, the limit is {max_pixels} pixels")


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Of a JPEG up to its first scan: the marker of each segment, and where its length stands (ITU-T T.81, B.1)."""
    at, marker = len(START), None
    while at + 4 <= len(data) and data[at] == 0xFF and marker != START_OF_SCAN:
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
        else:
            yield marker, at + 2
            at += 2 + (data[at + 2] << 8 | data[at + 3])


_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = b"\0\0\0\x0dIHDR"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def inspect_png(data: bytes, *, max_pixels: int) -> PictureSize:
    """Check that `data` is one whole PNG of a sane size (ISO/IEC 15948, clause 5).

    Raises:
        MessageRejected: `not_png`, `truncated_png`, `empty_image` or `too_many_pixels`.
    """
    if not data.startswith(_PNG_START + _PNG_HEADER):
        raise MessageRejected("not_png", "does not start with the signature and IHDR")
    if not data.endswith(_PNG_END):
        raise MessageRejected("truncated_png", "does not end with IEND")
    at = len(_PNG_START + _PNG_HEADER)
    size = PictureSize(int.from_bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8]))
    check_size(size, max_pixels)
    return size
