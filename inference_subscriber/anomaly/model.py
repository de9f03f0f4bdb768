"""What is known of the good boards of one product and side, and how a board compares with them."""

from dataclasses import dataclass

import cv2
import numpy as np

from inference_subscriber.anomaly.memory import Memory
from inference_subscriber.anomaly.padim import Gaussians, Grid
from inference_subscriber.anomaly.registration import Matrix, Pose, boxes_through
from inference_subscriber.engines.base import Anomaly, Image
from inference_subscriber.engines.features import FeatureMap
from inference_subscriber.engines.letterbox import fit
from pcb_bus.contract.messages import ModelRef

_REGION = 0.6  # a region reaches as far as heat stays over this share of its peak


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fit holds for.

    Args:
        model: the file whose feature maps it knows. The same training in another file format has another identity.
        width, height: of the frames, in pixels.
        max_input: pixels of their longer side at the network's input, at most.
    """

    product: str
    side: str
    model: ModelRef
    width: int
    height: int
    max_input: int

    @property
    def scale(self) -> float:
        """Pixels of the frame for one of the network's input."""
        return self.width / fit(self.width, self.height, self.max_input).scaled_width


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where the line lies between good boards and others.

    Args:
        threshold: distance that a good board exceeds with probability `false_call_rate`.
        good_boards: how many the statistics were fitted to.
        held_out: distance of each of them to statistics that were fitted without it.
    """

    threshold: float
    false_call_rate: float
    good_boards: int
    held_out: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyModel:
    """Scores frames of its subject.

    Args:
        stride: of the feature map that it reads.
        reference: the mean of the good boards, to which each is registered; None: scored wherever it lies.
    """

    subject: Subject
    calibration: Calibration
    scorer: Gaussians | Memory
    stride: int
    reference: Image | None

    def compare(self, features: FeatureMap, pose: Pose | None) -> Anomaly:
        """How unlike a good board a frame is.

        Args:
            features: of the frame as it lies in the reference, or of the bare frame without a pose.
            pose: where the board lies in the frame.
        """
        matrix = np.eye(3) if pose is None else pose.matrix
        width, height = self.subject.width, self.subject.height
        on_grid = self._on_grid(matrix)
        distances = self.scorer.distances(features) * _seen(on_grid, features.shape[1:])
        scores = distances / (distances + np.float32(self.calibration.threshold))
        box = boxes_through(matrix, np.array([_hottest_box(scores, self._cell)]))[0]
        x1, y1, x2, y2 = np.clip(box, 0, (width, height, width, height)).tolist()
        return Anomaly(float(scores.max()), (x1, y1, x2, y2), _heat(scores, on_grid))

    @property
    def knows_places(self) -> bool:
        """Whether each place is compared with the same place of good boards."""
        return isinstance(self.scorer, Gaussians)

    def unaligned(self) -> Anomaly:
        """A frame in which the board was not found: nothing on it is like a good board."""
        width, height = self.subject.width, self.subject.height
        return Anomaly(1.0, (0.0, 0.0, float(width), float(height)), np.full(self.grid_shape, 255, np.uint8))

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Height and width of the feature map, and of the heat."""
        fitted = fit(self.subject.width, self.subject.height, self.subject.max_input)
        return -(-fitted.scaled_height // self.stride), -(-fitted.scaled_width // self.stride)

    @property
    def _cell(self) -> float:
        """Pixels of the frame from one place to the next."""
        return self.stride * self.subject.scale

    def _on_grid(self, matrix: Matrix) -> Matrix:
        """The homography between the grids of the feature maps, in which places are whole numbers."""
        cell = self._cell
        aside = (cell - 1) / 2
        scale = np.array([(cell, 0, aside), (0, cell, aside), (0, 0, 1.0)])
        back = np.array([(1 / cell, 0, -aside / cell), (0, 1 / cell, -aside / cell), (0, 0, 1.0)])
        return np.asarray(back @ matrix @ scale)


def _seen(matrix: Matrix, shape: tuple[int, ...]) -> Grid:
    """1 where the frame reaches, 0 where the board lies outside of it; `matrix`: between the grids."""
    size, flags = (shape[1], shape[0]), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(np.ones(shape, np.float32), matrix, size, None, flags), np.float32)


def _hottest_box(scores: Grid, cell: float) -> tuple[float, float, float, float]:
    """Around the region of the highest score, x1, y1, x2, y2 in pixels."""
    peak = np.unravel_index(scores.argmax(), scores.shape)
    hot = (scores >= max(0.5, float(scores[peak]) * _REGION)) | (scores == scores[peak])
    _, labels, regions, _ = cv2.connectedComponentsWithStats(hot.astype(np.uint8))
    x, y, columns, rows, _ = (float(each) * cell for each in regions[labels[peak]])
    return x, y, x + columns, y + rows


def _heat(scores: Grid, matrix: Matrix) -> np.typing.NDArray[np.uint8]:
    """The scores as the frame sees them, in 1/256."""
    size = scores.shape[1], scores.shape[0]
    seen = cv2.warpPerspective(scores, matrix, size, None, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(np.rint(seen * 256), 0, 255), np.uint8)
