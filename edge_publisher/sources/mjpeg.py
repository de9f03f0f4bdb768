"""The JPEG inside a raw MJPEG buffer of a camera, so that it can travel as it came."""

from pcb_bus.contract.pictures import END, START, START_OF_SCAN, segments

_HUFFMAN_TABLES = 0xC4


def whole_jpeg(buffer: bytes) -> bytes | None:
    """The one picture in `buffer`, without what a driver leaves behind it.

    None if it is cut short, is no JPEG, or leaves out its Huffman tables, as some cameras do: not every decoder
    knows the standard ones.
    """
    places = dict(segments(buffer)) if buffer.startswith(START) else {}
    if _HUFFMAN_TABLES not in places or START_OF_SCAN not in places:
        return None
    # Within a scan, FF is never followed by D9: the first one is the end.
    end = buffer.find(END, places[START_OF_SCAN])
    return buffer[: end + len(END)] if end > 0 else None
