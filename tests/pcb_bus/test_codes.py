"""Serials on pictures: what is a serial, and where it is looked for."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import zxingcpp
from pydantic import TypeAdapter, ValidationError

from pcb_bus.errors import ConfigError
from pcb_bus.seeing.codes import Code, Region, SerialKind, SerialPattern, SerialReader

Image = npt.NDArray[np.uint8]
QR, DATAMATRIX = zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.DataMatrix


def code(text: str, kind: Any) -> Image:
    """With its quiet zone, 4 pixels a module."""
    grey = np.asarray(zxingcpp.create_barcode(text, kind).to_image(scale=4))
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)


def picture(*codes: tuple[str, Any, int]) -> Image:
    """A grey board with codes, each at its distance from the left."""
    board = np.full((240, 640, 3), 90, np.uint8)
    for text, kind, left in codes:
        drawn = code(text, kind)
        board[40 : 40 + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return board


BOTH = picture(("A-17", QR, 30), ("B-4", DATAMATRIX, 400))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("qr", {Code("A-17", "qr")}),
        ("datamatrix", {Code("B-4", "datamatrix")}),
        ("any", {Code("A-17", "qr"), Code("B-4", "datamatrix")}),
        ("off", set()),
    ],
)
def test_it_reads_what_was_asked_for(kind: str, expected: set[Code]) -> None:
    assert set(SerialReader(kind).read(BOTH).codes) == expected


@pytest.mark.parametrize(("region", "serials"), [((0, 0, 0.5, 1), ["A-17"]), ((0.5, 0.1, 0.5, 0.9), ["B-4"])])
def test_it_looks_in_the_region_alone(region: tuple[float, float, float, float], serials: list[str]) -> None:
    assert [each.serial for each in SerialReader("any").read(BOTH, region).codes] == serials


def test_what_the_pattern_does_not_match_is_no_serial() -> None:
    reading = SerialReader("any", r"[A-Z]-\d\d").read(BOTH)
    assert (reading.codes, reading.others) == ([Code("A-17", "qr")], ["B-4"])


@pytest.mark.parametrize(
    ("pattern", "product"), [(r"(?P<product>[A-Z])-\d+", "A"), (r"[A-Z]-(?P<product>\D*)\d+", None), (None, None)]
)
def test_the_pattern_may_name_the_product(pattern: str | None, product: str | None) -> None:
    assert SerialReader("qr", pattern).read(BOTH).codes == [Code("A-17", "qr", product)]


def test_a_serial_that_stands_there_twice_is_one() -> None:
    twice = picture(("A-17", DATAMATRIX, 30), ("A-17", DATAMATRIX, 400))
    assert SerialReader("any").read(twice).codes == [Code("A-17", "datamatrix")]


@pytest.mark.parametrize(
    ("text", "serial"),
    [
        (" A-17 ", "A-17"),
        ("[)>\x1e06\x1dP123\x1dS456\x1e\x04", "[)>␞06␝P123␝S456␞␄"),
        ("기판-7", "기판-7"),
        ("x" * 129, None),
        ("  ", None),
    ],
    ids=["blanks", "ISO 15434", "Korean", "too long", "empty"],
)
def test_only_what_may_be_an_id_is_a_serial(text: str, serial: str | None) -> None:
    assert [each.serial for each in SerialReader("qr").read(code(text, QR)).codes] == ([serial] if serial else [])


def test_a_reader_that_nobody_installed_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^edge\.serial: no reader 'ocr'; known: any, datamatrix, off, qr$"):
        SerialReader("ocr")


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (SerialPattern, "(", "not a regular expression: missing"),
        (Region, (0.5, 0, 0.6, 1), "reaches beyond the picture"),
        (Region, (0, 0, 0, 1), "greater than 0"),
        (SerialKind, "", "at least 1 character"),
    ],
)
def test_settings_that_cannot_work(kind: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(kind).validate_python(value)


def test_yaml_reads_off_as_false() -> None:
    assert TypeAdapter(SerialKind).validate_python(False) == "off"
