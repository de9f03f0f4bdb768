"""The boxes of one side as they go on the wire: what the detector found, and an oddity that it did not."""

from inference_subscriber.engines.base import Detection, Findings
from inference_subscriber.oddity import Oddity, find_oddity
from pcb_bus.contract.messages import Box
from pcb_bus.contract.taxonomy import UNKNOWN_ANOMALY, Taxonomy


def boxes_of(findings: Findings, size: tuple[int, int], taxonomy: Taxonomy, threshold: float) -> tuple[Box, ...]:
    """An anomaly is a box of its own unless a box that counts was found: then that is most likely the anomaly.

    Minor defects do not count: an oddity beside a mouse bite is a box of its own, the mouse bite's own heat is not.

    Args:
        size: width and height of the picture.
        threshold: of the anomaly score.
    """
    found = tuple(map(_box, findings.detections))
    counts = any(taxonomy.category_of(box.class_name) != "normal" for box in found)
    if counts or findings.anomaly is None:
        return found
    minor = [(box.x1, box.y1, box.x2, box.y2) for box in found]
    oddity = find_oddity(findings.anomaly, threshold, size, minor)
    return found if oddity is None else (*found, _oddity_box(oddity))


def _box(found: Detection) -> Box:
    """Tenths of a pixel and four digits of confidence are more than a person can use."""
    return Box(
        x1=round(found.x1, 1),
        y1=round(found.y1, 1),
        x2=round(found.x2, 1),
        y2=round(found.y2, 1),
        confidence=round(found.confidence, 4),
        class_name=found.class_name,
    )


def _oddity_box(oddity: Oddity) -> Box:
    x1, y1, x2, y2 = (round(each, 1) for each in oddity.box)
    return Box(x1=x1, y1=y1, x2=x2, y2=y2, confidence=oddity.score, class_name=UNKNOWN_ANOMALY)
