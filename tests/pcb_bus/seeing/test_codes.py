"""Serials on pictures: what is a serial, and where it is looked for."""

import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import zxingcpp
from pydantic import TypeAdapter, ValidationError

from benchmarks.serials import is_read, view
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


@pytest.mark.parametrize("turned", [0, 27, 45, 81, 120])
@pytest.mark.parametrize(
    ("code", "module", "blur", "contrast"),
    [
        ("Data Matrix", 2, 0, 0.8),
        ("Data Matrix", 3, 1, 0.8),
        ("Data Matrix", 6, 2, 0.8),
        ("Data Matrix", 4, 0.7, -0.8),
        ("QR", 2, 0, 0.8),
        ("QR", 3, 1, 0.8),
        ("QR", 4, 0.7, 0.3),
    ],
)
def test_a_code_is_read_though_it_is_small_blurred_turned_or_pale(
    code: str, module: float, blur: float, contrast: float, turned: float
) -> None:
    assert is_read(SerialReader("any"), view(code, module, blur, turned, contrast, (320, 240)))


def test_what_cannot_be_read_is_no_serial() -> None:
    assert SerialReader("any").read(view("Data Matrix", 2, 2)).codes == []


def test_the_reader_that_the_page_shows_is_found_and_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed as pip would, with a Tesseract that answers, for the real one is no Python package."""
    page = (Path(__file__).parents[3] / "docs/serial_numbers.md").read_text(encoding="utf-8")
    (program,), (project,) = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "toml"))
    assert len(program.splitlines()) <= 10
    (points,) = tomllib.loads(project)["project"]["entry-points"].values()
    ((name, value),) = points.items()
    (tmp_path / f"{value.partition(':')[0]}.py").write_text(program)
    (installed := tmp_path / "tesseract_serials-1.dist-info").mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tesseract-serials\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[boardline.serials]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[Image] = []

    def image_to_string(ink: Image, config: str) -> str:
        seen.append(ink)
        return "Made in Busan\nSN-7 ok"

    monkeypatch.setitem(sys.modules, "pytesseract", SimpleNamespace(image_to_string=image_to_string))
    reader = SerialReader(name, r"(?P<product>SN)-\d")
    assert reader.read(BOTH, (0, 0, 0.25, 0.5)).codes == [Code("SN-7", name, "SN")]
    assert (seen[0].shape, set(np.unique(seen[0]))) == ((120, 160), {0, 255})
    del sys.modules["tesseract_serials"]


def test_a_reader_that_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (installed := tmp_path / "broken-1.dist-info").mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[boardline.serials]\nbroken = nowhere_at_all:read\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"^edge\.serial: the reader broken \(nowhere_at_all:read\) fails: No module"):
        SerialReader("broken")
