"""The heat as a picture: what viewers see, and what a program reads."""

import zlib

import cv2
import numpy as np

from inference_subscriber.engines.base import Image
from inference_subscriber.heat_map import heat_png
from pcb_bus.contract.pictures import PictureSize, inspect_png

ALL = np.arange(256, dtype=np.uint8).reshape(8, 32)


def seen(heat: Image) -> Image:
    """Blue, green, red and opacity of each cell, as a viewer decodes them."""
    picture = cv2.imdecode(np.frombuffer(heat_png(heat), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture.astype(np.uint8)


def test_a_viewer_sees_cold_cells_clear_and_hot_ones_ever_redder() -> None:
    blue, green, red, opacity = (channel.ravel().astype(int) for channel in cv2.split(seen(ALL)))
    assert not opacity[:96].any()
    assert (np.diff(opacity[96:]) >= 0).all()
    assert 0 < opacity[96] < opacity[128] < opacity[255] < 255
    assert (red == 255).all()
    assert not blue.any()
    assert (np.diff(green) <= 0).all()
    assert (green[96], green[255]) == (255, 0)


def test_each_pixel_has_the_heat_as_its_index() -> None:
    png = heat_png(ALL)
    at = png.index(b"IDAT")
    length = int.from_bytes(png[at - 4 : at])
    rows = np.frombuffer(zlib.decompress(png[at + 4 : at + 4 + length]), np.uint8).reshape(8, 33)
    assert (rows[:, 1:] == ALL).all()


def test_a_grid_of_a_board_is_small() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (60, 80), np.uint8)
    heat = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8)
    png = heat_png(heat)
    assert seen(heat).shape == (60, 80, 4)
    assert inspect_png(png, max_pixels=10_000) == PictureSize(80, 60)
    assert len(png) < 6_000
