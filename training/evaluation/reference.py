"""Reads detections once more with the board's defect-free template, as the line does with a golden board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from inference_subscriber.anomaly.registration import Matrix, Registrar, boxes_through
from inference_subscriber.copper import DOUBLED, CopperTemplate, Reading, settled
from pcb_bus.contract.taxonomy import CopperNames, Taxonomy
from training.boxes import Image
from training.evaluation.average_precision import Boxed
from training.evaluation.decode import suppress
from training.evaluation.examine import Examined
from training.evaluation.pictures import Picture


def reviewed(examined: Examined, picture: Picture, class_names: Sequence[str], taxonomy: Taxonomy) -> Examined:
    """What is left once the template has been asked; as it is where there is none.

    The picture is laid on its template first, as the line lays a frame on its golden board: one that lies two pixels
    aside differs along every edge. All that was found keeps each class that the template leaves possible. What the line
    calls is settled as the line does it, and lost only where nothing changed.

    Raises ValueError when image and template differ in size.
    """
    copper = taxonomy.copper
    if picture.template is None or copper is None:
        return examined
    template, image = CopperTemplate(_grey(picture.template), copper), _grey(picture.sample.image)
    laid, to_template = _laid(image, _grey(picture.template), template)

    def ask(found: Boxed) -> list[tuple[Reading, ...]]:
        boxes = boxes_through(to_template, found.boxes)
        return template.read(laid, boxes, [class_names[index] for index in found.classes])

    told = {*copper.added, *copper.removed}
    names = [class_names[index] for index in examined.called.classes]
    called = [
        (settled(name, readings, told, taxonomy.minor),) if readings else ()
        for name, readings in zip(names, ask(examined.called), strict=True)
    ]
    return replace(
        examined,
        found=_weighed(examined.found, ask(examined.found), class_names),
        called=_weighed(examined.called, called, class_names),
    )


def with_told(class_names: Sequence[str], copper: CopperNames) -> tuple[str, ...]:
    """The classes with those that a template may tell: a detector need not know them all."""
    return tuple(dict.fromkeys((*class_names, *copper.added, *copper.removed)))


def _laid(image: Image, template: Image, copper: CopperTemplate) -> tuple[Image, Matrix]:
    """The picture as it lies on its template, and the way there; as it is where that lies no nearer."""
    if image.shape != template.shape:
        raise ValueError(f"a picture of {image.shape} and a template of {template.shape} pixels")
    registrar = Registrar(template)
    pose = registrar.align(image)
    laid = registrar.unwarp(image, pose)
    if not pose.aligned or copper.changed(laid) > copper.changed(image):
        return image, np.eye(3)
    return laid, np.asarray(np.linalg.inv(pose.matrix), np.float64)


def _weighed(found: Boxed, readings: Sequence[tuple[Reading, ...]], class_names: Sequence[str]) -> Boxed:
    """Each box once for each of its readings; doubles of one class are suppressed."""
    chosen = [(index, reading) for index, each in enumerate(readings) for reading in each]
    sources = np.array([index for index, _ in chosen], np.int64)
    classes = np.array([class_names.index(reading.class_name) for _, reading in chosen], np.int64)
    confidences = np.array([reading.confidence(found.confidences[index]) for index, reading in chosen])
    order = np.argsort(-confidences, kind="stable")
    boxed = Boxed(found.boxes[sources][order], classes[order], confidences[order])
    kept = suppress(boxed.boxes, boxed.classes, DOUBLED)
    return Boxed(boxed.boxes[kept], boxed.classes[kept], boxed.confidences[kept])


def _grey(image: Image) -> Image:
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
