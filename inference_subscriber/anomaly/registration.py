"""Where a board lies in a frame, against the reference picture of its product: shift, turn, tilt.

Inverse compositional alignment (Baker and Matthews 2004, "Lucas-Kanade 20 years on") of a homography, coarse to fine,
on the local contrast of the logarithm of the grey values: exposure, lamp and white balance drop out.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import Image

Matrix = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]
Grey = npt.NDArray[np.uint8]
"""Height x width."""

_SCALES = (8, 4)
_STEPS = 12
_SETTLED = (0.5, 0.1)  # pixels of the frame; the finer scale goes on from the coarse one
_CLIP = 2.5  # standard deviations of the reference's contrast; a foreign thing pulls no harder
_LEAST_LIKENESS = 0.5
_LEAST_SEEN = 0.5
_LEAST_CURVATURE = 1e-9  # a picture without any feature is not found, but can be asked for
_MARGIN = 2
_OUTSIDE, _MOST = 1e6, 100.0  # stands for places that the frame does not reach; above all contrast


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the board lies.

    Args:
        matrix: 3 x 3, from pixels of the reference to pixels of the frame.
        likeness: correlation of the aligned local contrast with the reference's, at most 1.
    """

    matrix: Matrix
    likeness: float

    @property
    def aligned(self) -> bool:
        return self.likeness >= _LEAST_LIKENESS


class Registrar:
    """Aligns frames to one reference picture, which has their size. Some 2 ms a frame of 640x480 on one core."""

    def __init__(self, reference: Image) -> None:
        self._height, self._width = reference.shape[:2]
        sizes = [(max(8, self._width // scale), max(8, self._height // scale)) for scale in _SCALES]
        self._finest = sizes[-1]
        self._levels = [_Level(self._shrink(reference), (self._width, self._height), size) for size in sizes]

    def align(self, frame: Image) -> Pose:
        """The pose of the board; where it cannot be found, one that is not `aligned`."""
        small = self._shrink(frame)
        pose = self._refine(small, np.eye(3))
        if pose.aligned:
            return pose
        moved = np.eye(3)
        moved[:2, 2] = self._levels[-1].shift_of(small)
        return max(pose, self._refine(small, moved), key=lambda each: each.likeness)

    def unwarp(self, frame: Image, pose: Pose) -> Image:
        """The frame as if the board lay as in the reference."""
        if frame.ndim == 2:
            return self._warp(np.asarray(frame, np.uint8), pose)
        four = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2BGRA), np.uint8)  # warps twice as fast as three channels
        return np.asarray(cv2.cvtColor(self._warp(four, pose), cv2.COLOR_BGRA2BGR), np.uint8)

    def _warp(self, image: Image, pose: Pose) -> Image:
        size, flags = (self._width, self._height), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpPerspective(image, pose.matrix, size, None, flags, cv2.BORDER_REPLICATE), np.uint8)

    def _shrink(self, image: Image) -> Grey:
        """In two steps: OpenCV halves twice as fast as it quarters."""
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        half = cv2.resize(grey, (self._width // 2, self._height // 2), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(half, self._finest, interpolation=cv2.INTER_AREA), np.uint8)

    def _refine(self, small: Grey, start: Matrix) -> Pose:
        matrix, seen = start, np.empty((0, 0), np.float32)
        for level, settled in zip(self._levels, _SETTLED, strict=True):
            matrix, seen = level.refine(local_contrast(small, level.size), matrix, settled)
        return Pose(matrix, self._levels[-1].likeness(seen))


class _Level:
    """The reference at one scale, with the derivatives that every frame shares.

    Args:
        reference: grey, at the finest scale, as the frames later.
        frame: width and height of a whole frame.
        size: width and height at this scale.
    """

    def __init__(self, reference: Grey, frame: tuple[int, int], size: tuple[int, int]) -> None:
        width, height = frame
        self.size = size
        self._target = local_contrast(reference, size)
        self._spread = float(self._target.std()) or 1.0
        self._to_level = _to_level((width, height), self.size)
        self._from_level = np.linalg.inv(self._to_level)
        to_unit = _to_unit(self.size)
        self._to_unit = to_unit @ self._to_level
        self._from_unit = np.linalg.inv(self._to_unit)
        self._corners = np.array([[(0, 0), (width, 0), (width, height), (0, height)]], np.float64)
        steepest = _steepest_descent(self._target, to_unit)
        hessian = steepest.T @ steepest
        hessian += np.eye(8) * (1e-6 * np.trace(hessian) + _LEAST_CURVATURE)
        self._solve = np.asarray(np.linalg.solve(hessian, steepest.T), np.float32)

    def refine(self, plane: Plane, start: Matrix, settled: float) -> tuple[Matrix, Plane]:
        """The matrix that lays the local contrast on the reference's, once a step moves no corner by `settled`.

        Also what was seen through it, but for that last step.
        """
        matrix = start
        for _ in range(_STEPS):
            seen = self._seen(plane, matrix)
            error = np.clip(seen - self._target, -_CLIP * self._spread, _CLIP * self._spread)
            error[seen > _MOST] = 0
            change = np.einsum("ij,j->i", self._solve, _inner(error))  # on one thread, unlike OpenBLAS
            step = self._step(change)
            matrix = matrix @ step
            matrix = matrix / matrix[2, 2]
            if np.abs(cv2.perspectiveTransform(self._corners, step) - self._corners).max() < settled:
                break
        return matrix, seen

    def shift_of(self, small: Grey) -> Matrix:
        """By how many pixels of the frame the board lies aside (phase correlation)."""
        window = cv2.createHanningWindow(self.size, cv2.CV_32F)
        target = self._target.copy()  # OpenCV lays the window over what it is given
        shift, _ = cv2.phaseCorrelate(target, local_contrast(small, self.size), window)
        return np.asarray(shift, np.float64) / np.diag(self._to_level)[:2]

    def _seen(self, plane: Plane, matrix: Matrix) -> Plane:
        here = self._to_level @ matrix @ self._from_level
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpPerspective(plane, here, self.size, None, flags, cv2.BORDER_CONSTANT, _OUTSIDE)
        return np.asarray(seen, np.float32)

    def _step(self, change: npt.NDArray[np.float32]) -> Matrix:
        """The inverse of the small homography, in pixels of the frame."""
        small = np.append(change, 0.0).reshape(3, 3).astype(np.float64) + np.eye(3)
        return np.asarray(self._from_unit @ np.linalg.inv(small) @ self._to_unit, np.float64)

    def likeness(self, seen: Plane) -> float:
        """Correlation with the reference's local contrast, at most 1; 0 where most of it lies outside."""
        a, b = _inner(seen), _inner(self._target)
        there = a < _MOST
        if there.mean() < _LEAST_SEEN:
            return 0.0
        if not there.all():
            a, b = a[there], b[there]
        a, b = a - a.mean(), b - b.mean()
        return float((a * b).sum() / (np.sqrt((a * a).sum() * (b * b).sum()) + 1e-9))


def local_contrast(grey: Grey, size: tuple[int, int]) -> Plane:
    """The logarithm of the grey values at this width and height, less its surroundings, at a spread of one."""
    small = grey if grey.shape == size[::-1] else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    light = np.log(small.astype(np.float32) + 8)
    around = max(3, size[0] // 10) | 1
    contrast = light - cv2.blur(light, (around, around), borderType=cv2.BORDER_REFLECT)
    return np.asarray(contrast / (contrast.std() + 1e-3), np.float32)


def _steepest_descent(target: Plane, to_unit: Matrix) -> npt.NDArray[np.float64]:
    """How each inner pixel changes with each of the eight numbers of a homography, (pixels, 8)."""
    dy, dx = np.gradient(target.astype(np.float64))
    dx, dy = dx / to_unit[0, 0], dy / to_unit[1, 1]
    ys, xs = np.mgrid[0 : target.shape[0], 0 : target.shape[1]].astype(np.float64)
    x, y = xs * to_unit[0, 0] + to_unit[0, 2], ys * to_unit[1, 1] + to_unit[1, 2]
    radial = -(x * dx + y * dy)
    return np.stack([_inner(each) for each in (x * dx, y * dx, dx, x * dy, y * dy, dy, x * radial, y * radial)], axis=1)


def _inner(plane: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return plane[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN].ravel()


def _to_level(frame: tuple[int, int], level: tuple[int, int]) -> Matrix:
    """From pixels of the frame to those of a level; centres of pixels are whole numbers."""
    (width, height), (small_width, small_height) = frame, level
    across, down = small_width / width, small_height / height
    return np.array([(across, 0, across / 2 - 0.5), (0, down, down / 2 - 0.5), (0, 0, 1)])


def _to_unit(size: tuple[int, int]) -> Matrix:
    """From pixels to -1 to 1 over the width."""
    half = size[0] / 2
    return np.array([(1 / half, 0, -(size[0] - 1) / size[0]), (0, 1 / half, -(size[1] - 1) / size[0]), (0, 0, 1)])


def boxes_through(matrix: Matrix, boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The boxes (n, 4) around what the corners of the given ones become; x1, y1, x2, y2."""
    if not len(boxes):
        return np.empty((0, 4))
    corners = np.asarray(boxes, np.float64)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(1, -1, 2)
    moved = cv2.perspectiveTransform(corners, matrix).reshape(-1, 4, 2)
    return np.hstack([moved.min(axis=1), moved.max(axis=1)]).astype(np.float64)
