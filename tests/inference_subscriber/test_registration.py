"""Boards found in frames: whatever the light, and said so where there is none."""

import cv2
import numpy as np
import pytest

from inference_subscriber.anomaly.registration import Matrix, Registrar, boxes_through
from inference_subscriber.engines.base import Image
from simulator.assembled.board import draw_assembled_board
from simulator.assembled.design import make_design
from simulator.assembled.photograph import Conditions

STILL = Conditions(shift=0, turn=0, keystone=0, exposure=0, gradient=0, white_balance=0)
WIDTH, HEIGHT = 640, 480
CORNERS = np.array([[(20, 20), (620, 20), (620, 460), (20, 460), (320, 240)]], np.float64)


@pytest.fixture(scope="module")
def still() -> Image:
    return draw_assembled_board(make_design(10_001), 1, conditions=STILL).image


@pytest.fixture(scope="module")
def registrar(still: Image) -> Registrar:
    return Registrar(still)


def view(shift: tuple[float, float], turn: float, tilt: float) -> Matrix:
    corners = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], np.float32)
    angle = np.radians(turn)
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    spin = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    moved = (corners - middle) @ spin.T + middle + shift + tilt * np.array([(1, -1), (-1, 0), (0, 1), (1, 1)])
    return np.asarray(cv2.getPerspectiveTransform(corners, moved.astype(np.float32)), np.float64)


def photograph(board: Image, matrix: Matrix, light: float = 1.0, slope: float = 0.0) -> Image:
    seen = cv2.warpPerspective(board, matrix, (WIDTH, HEIGHT), None, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    lamp = light * (1 + slope * np.linspace(-1, 1, WIDTH)[None, :, None]) * np.array([1.1, 1.0, 0.9])
    noise = np.random.default_rng(3).normal(0, 3, seen.shape)
    return np.asarray(np.clip(seen * lamp + noise, 0, 255), np.uint8)


@pytest.mark.parametrize(
    ("shift", "turn", "tilt"),
    [((0, 0), 0, 0), ((4, -4), 0.7, 3), ((-9, 7), -1.5, 4), ((45, -30), 0, 0), ((-60, 40), 0.5, 1)],
)
@pytest.mark.parametrize(("light", "slope"), [(1.0, 0.0), (0.7, 0.3), (1.3, -0.2)])
def test_a_board_is_found_within_a_pixel(
    registrar: Registrar, still: Image, shift: tuple[float, float], turn: float, tilt: float, light: float, slope: float
) -> None:
    truth = view(shift, turn, tilt)
    pose = registrar.align(photograph(still, truth, light, slope))
    assert pose.aligned
    away = cv2.perspectiveTransform(CORNERS, pose.matrix) - cv2.perspectiveTransform(CORNERS, truth)
    assert np.abs(away).max() < 1.0


def test_the_board_is_laid_as_in_the_reference(registrar: Registrar, still: Image) -> None:
    frame = photograph(still, view((6, 5), 1, 2))
    laid = registrar.unwarp(frame, registrar.align(frame))
    inner = np.s_[30:-30, 30:-30]
    before, after = (np.abs(each[inner].astype(int) - still[inner]).mean() for each in (frame, laid))
    assert after < before / 2


@pytest.mark.parametrize("kind", ["another design", "noise", "blank", "upside down"])
def test_what_is_not_the_board_is_not_aligned(registrar: Registrar, still: Image, kind: str) -> None:
    frames = {
        "another design": draw_assembled_board(make_design(10_002), 1).image,
        "noise": np.random.default_rng(0).integers(0, 255, still.shape, np.uint8),
        "blank": np.full_like(still, 90),
        "upside down": np.ascontiguousarray(still[::-1, ::-1]),
    }
    assert not registrar.align(frames[kind]).aligned


def test_boxes_move_with_the_board() -> None:
    (box,) = boxes_through(view((10, -5), 0, 0), np.array([(100.0, 50.0, 120.0, 70.0)]))
    assert box == pytest.approx((110, 45, 130, 65), abs=0.01)


def test_nothing_is_found_by_a_picture_without_features(still: Image) -> None:
    assert not Registrar(np.full_like(still, 255)).align(still).aligned
