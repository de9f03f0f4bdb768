"""The serial on a picture of a board: a QR code, a Data Matrix, or what a reader of one's own finds.

`SerialReader` is pure. `Serials` runs it on a thread of its own, after a frame has gone, so that reading delays none.
"""

import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Annotated, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Frame, Id, Name, Serial
from pcb_bus.errors import ConfigError, MessageRejected
from pcb_bus.runtime.metrics import DROPPED
from pcb_bus.runtime.redaction import redact
from pcb_bus.runtime.service import Service
from pcb_bus.seeing.jpeg import decode_jpeg

READERS = "boardline.serials"
"""Entry-point group: name → `read(picture) -> str | None`. The picture: height x width x 3, uint8, blue first."""
OFF = "off"
_CODES = {"qr": ("QRCode",), "datamatrix": ("DataMatrix",), "any": ("QRCode", "DataMatrix")}
_SYMBOLOGIES = {"QRCode": "qr", "DataMatrix": "datamatrix"}
_SMALL_PIXELS = 2_000_000  # a code that is too small in a picture of no more is looked for in one of twice the size
_ID: TypeAdapter[str] = TypeAdapter(Id)

_CAMERA = "camera"
_THREAD = "serials"
_MOST_WAITING, _MOST_BYTES = 8, 64 * 2**20
_MOST_UNREAD = 10  # boards in a row

Image = npt.NDArray[np.uint8]
Place = tuple[float, float, float, float]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _within(region: Place) -> Place:
    left, top, width, height = region
    if max(left + width, top + height) > 1 + 1e-6:
        raise ValueError("reaches beyond the picture: left, top, width and height are shares of its size")
    return region


# YAML reads a bare `off` as false.
SerialKind = Annotated[Name, BeforeValidator(lambda kind: OFF if kind is False else kind)]
"""`off`, `qr`, `datamatrix`, `any`, or the name of a reader of one's own."""

SerialPattern = Annotated[str, AfterValidator(_compiles)]
"""A regular expression that the whole serial matches; its group `product`, if any, names the board's product."""

_Share = Annotated[float, Field(ge=0, le=1)]
_Length = Annotated[float, Field(gt=0, le=1)]
Region = Annotated[tuple[_Share, _Share, _Length, _Length], AfterValidator(_within)]
"""Left, top, width and height, as shares of the picture's."""


@dataclass(frozen=True, slots=True)
class Code:
    """A serial that was read, and the product that it names."""

    serial: str
    symbology: str
    product: str | None = None


class Reading(NamedTuple):
    """The serials on a picture, and what else could be read there, but is none."""

    codes: list[Code]
    others: list[str]


Find = Callable[[Image], list[tuple[str, str]]]
"""The texts on a picture, each with its symbology."""


class SerialReader:
    """Reads pictures.

    Args:
        kind: what to read, as `SerialKind` says; `off`: nothing.
        pattern: what is a serial, as `SerialPattern` says; None: whatever can be read.
        key: of the setting, for errors.

    Raises:
        ConfigError: there is no such reader, or it cannot be loaded.
    """

    def __init__(self, kind: str, pattern: str | None = None, key: str = "edge.serial") -> None:
        self.key = key
        self.is_off = kind == OFF
        self._find = _find_codes(_CODES[kind], key) if kind in _CODES else _find_by(kind, key)
        self._pattern = re.compile(".*" if pattern is None else pattern)

    def read(self, picture: Image, region: Place | None = None) -> Reading:
        """Each serial once. `region`: where to look, left, top, width and height as shares of the picture's."""
        reading = Reading([], [])
        for text, symbology in dict.fromkeys(self._find(_part(picture, region))):
            code = self.code(text, symbology)
            if code is None:
                reading.others.append(text)
            else:
                reading.codes.append(code)
        return reading

    def code(self, text: str, symbology: str) -> Code | None:
        """What a text that was read says; None: it is no serial."""
        match = self._pattern.fullmatch(text)
        try:
            product = match and match.groupdict().get("product")
            return match and Code(_ID.validate_python(text, strict=True), symbology, product or None)
        except ValidationError:
            return None


def _part(picture: Image, region: Place | None) -> Image:
    if region is None:
        return picture
    (height, width), (left, top, wide, high) = picture.shape[:2], region
    rows = slice(round(top * height), max(1, round((top + high) * height)))
    columns = slice(round(left * width), max(1, round((left + wide) * width)))
    return np.ascontiguousarray(picture[rows, columns])


def _find_codes(formats: tuple[str, ...], key: str) -> Find:
    try:
        import zxingcpp
    except ImportError as error:
        raise ConfigError(f"{key}: needs the package zxing-cpp (pip install zxing-cpp): {error}") from None
    wanted = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat[name] for name in formats])

    def find(picture: Image) -> list[tuple[str, str]]:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        found = zxingcpp.read_barcodes(grey, formats=wanted)
        if not found and grey.size <= _SMALL_PIXELS:
            larger = cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            found = zxingcpp.read_barcodes(larger, formats=wanted)
        return [(code.text.strip(), _SYMBOLOGIES[code.symbology.name]) for code in found]

    return find


def _find_by(name: str, key: str) -> Find:
    if name == OFF:
        return lambda picture: []
    readers = {each.name: each for each in entry_points(group=READERS)}
    if name not in readers:
        known = ", ".join(sorted({OFF, *_CODES, *readers}))
        raise ConfigError(f"{key}: no reader {name!r}; known: {known}")
    try:
        read: Callable[[Image], str | None] = readers[name].load()
    except (ImportError, AttributeError) as error:
        why = redact(str(error))
        raise ConfigError(f"{key}: the reader {name} ({readers[name].value}) fails: {why}") from None

    def find(picture: Image) -> list[tuple[str, str]]:
        text = read(picture)
        return [(text.strip(), name)] if text else []

    return find


@dataclass(frozen=True, slots=True)
class _Waiting:
    side: str
    board_id: str
    triggered_at: int
    picture: Image | bytes

    @property
    def size(self) -> int:
        return len(self.picture) if isinstance(self.picture, bytes) else self.picture.nbytes


class Serials:
    """Publishes the serials of boards, the newest board's first. What it has no time for is counted, and never read.

    Args:
        node: on whose worker `serials` they are read; make this before the node starts.
        regions: by side, where on its pictures to look; where none is said, everywhere.
    """

    def __init__(self, node: Service, reader: SerialReader, regions: Mapping[str, Place | None]) -> None:
        self._node = node
        self._reader = reader
        self._regions = regions
        self._worker = None if reader.is_off else node.worker(_THREAD)
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._unread: Counter[str] = Counter()

    def put(self, side: str, board_id: str, triggered_at: int, picture: Image | bytes) -> None:
        """Read this picture of a board, decoded or JPEG, when there is time. Any thread; never waits."""
        if self._worker is None:
            return
        dropped = 0
        with self._lock:
            self._waiting.append(_Waiting(side, board_id, triggered_at, picture))
            while len(self._waiting) > 1 and self._is_too_much():
                self._waiting.popleft()
                dropped += 1
        self._worker.do(self._read_newest)
        if dropped:
            DROPPED.labels("serial", "queue_full").inc(dropped)
            self._node.session.complain("serials", "boards come faster than their serials can be read")

    def tell(self, frame: Frame) -> None:
        """Publish what a camera read itself, of a board whose pass is known."""
        if frame.serial is not None and frame.board_id is not None and frame.triggered_at is not None:
            code = self._reader.code(frame.serial, _CAMERA) or Code(frame.serial, _CAMERA)
            self._publish(frame.side, frame.board_id, frame.triggered_at, code)

    def _publish(self, side: str, board_id: str, triggered_at: int, code: Code) -> None:
        told = Serial(
            side=side,
            board_id=board_id,
            triggered_at=triggered_at,
            serial=code.serial,
            symbology=code.symbology,
            product=code.product,
        )
        self._node.session.publish(self._node.topics.serial(side), encode_json(told))

    def _is_too_much(self) -> bool:
        return len(self._waiting) > _MOST_WAITING or sum(each.size for each in self._waiting) > _MOST_BYTES

    def _read_newest(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            board = self._waiting.pop()
        picture = board.picture
        try:
            image = decode_jpeg(picture) if isinstance(picture, bytes) else picture
        except MessageRejected:
            return  # torn on its way from the camera; its frame says so
        reading = self._reader.read(image, self._regions.get(board.side))
        for code in reading.codes:
            self._publish(board.side, board.board_id, board.triggered_at, code)
        self._see(board.side, reading)

    def _see(self, side: str, reading: Reading) -> None:
        """Tell once no serial has been read for a while."""
        self._unread[side] = 0 if reading.codes else self._unread[side] + 1
        if 0 < self._unread[side] < _MOST_UNREAD:
            return
        fault, key = "", self._reader.key
        if self._unread[side]:
            likely = f"the code is too small (2 pixels a module are few), blurred, or not within {key}_region"
            if reading.others:
                likely = f"{reading.others[0]!r} was read, which is no serial by {key}_pattern"
            fault = f"no serial on the last {_MOST_UNREAD} boards of {side}: {likely}"
        self._node.fault(f"serials {side}", fault, "warning", f"serials of {side} are read again", side=side)
