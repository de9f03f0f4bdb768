"""From a YOLO network's plain output to boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.letterbox import fit, to_batch
from training.boxes import Boxes, Image, iou_matrix
from training.evaluation.average_precision import Boxed


@dataclass(frozen=True)
class DecodeSettings:
    """Lowest confidence reported, overlap at which two boxes are one, and the most boxes an image may have."""

    confidence: float = 0.001
    nms_iou: float = 0.5
    across_classes: bool = False
    most: int = 300


def to_blob(image: Image) -> npt.NDArray[np.float32]:
    """Network input (1, 3, height, width), red first, 0 to 1, of a grey image or a BGR one.

    Whole and unscaled, filled up below and to the right to sides that the network can halve.
    """
    colour = image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    height, width = image.shape[:2]
    filled = to_batch([colour], [fit(width, height, max(width, height))])
    return np.ascontiguousarray(filled[..., ::-1].transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def decode(output: npt.NDArray[np.float32], settings: DecodeSettings) -> Boxed:
    """Boxes of one image from the output (4 + classes, anchors): centre x, y, width, height and class scores."""
    table = output.T
    anchors, classes = np.nonzero(table[:, 4:] > settings.confidence)
    scores = table[anchors, 4 + classes].astype(float)
    order = np.argsort(-scores, kind="stable")[:3000]
    anchors, classes, scores = anchors[order], classes[order], scores[order]
    centre, half = table[anchors, :2].astype(float), table[anchors, 2:4].astype(float) / 2
    boxes = np.hstack([centre - half, centre + half])
    kept = suppress(boxes, None if settings.across_classes else classes, settings.nms_iou, settings.most)
    return Boxed(boxes[kept], classes[kept].astype(np.int64), scores[kept])


def suppress(
    boxes: Boxes, classes: npt.NDArray[np.intp] | None, iou: float, most: int | None = None
) -> npt.NDArray[np.intp]:
    """Indices that survive non-maximum suppression, the first `most`; the boxes come in falling order of confidence.

    Boxes of different classes do not suppress each other unless `classes` is None.
    """
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left) and len(kept) != most:
        first, rest = left[0], left[1:]
        kept.append(int(first))
        doubled = iou_matrix(boxes[first : first + 1], boxes[rest])[0] > iou
        if classes is not None:
            doubled &= classes[rest] == classes[first]
        left = rest[~doubled]
    return np.array(kept, np.intp)
