"""The JPEG inside a raw MJPEG buffer of a camera, so that it can travel as it came."""

_START_OF_SCAN = 0xDA
_HUFFMAN_TABLES = 0xC4


def whole_jpeg(buffer: bytes) -> bytes | None:
    """The one picture in `buffer`, without what a driver leaves behind it (ITU-T T.81, annex B).

    None if it is cut short, is no JPEG, or leaves out its Huffman tables, as some cameras do: not every decoder
    knows the standard ones.
    """
    if not buffer.startswith(b"\xff\xd8"):
        return None
    at, tables = 2, False
    while at + 4 <= len(buffer) and buffer[at] == 0xFF:
        marker = buffer[at + 1]
        at += 2 + int.from_bytes(buffer[at + 2 : at + 4])
        tables = tables or marker == _HUFFMAN_TABLES
        if marker == _START_OF_SCAN:
            # Within a scan, FF is never followed by D9: the first one is the end.
            end = buffer.find(b"\xff\xd9", at)
            return buffer[: end + 2] if tables and end > 0 else None
    return None
