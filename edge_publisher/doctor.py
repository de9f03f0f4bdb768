"""`python -m edge_publisher doctor`: camera, focus, exposure, and what every node can be asked."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edge_publisher.settings import EdgeLineSettings, EdgeSettings, node_name
from edge_publisher.sources import Picture
from edge_publisher.sources.base import adjust
from edge_publisher.sources.opening import Opener, find_source, how_long_the_same
from pcb_bus.errors import MessageRejected
from pcb_bus.runtime.doctor import Finding, check_broker, check_clock, check_disk, check_pins, check_power
from pcb_bus.runtime.redaction import redact_address
from pcb_bus.seeing.health import COVERED, FROZEN, TORN, Flaw, find_flaw, sharpness
from pcb_bus.seeing.jpeg import Image, decode_jpeg

LOOK_S = 3.0
_PATIENCE_S = 15.0  # for the first picture
_GOODBYE_S = 2.0
_FAST_ENOUGH = 0.8  # of the rate that the settings want
_SETTLED_S = 1.0  # exposure and rate of a camera that was just opened
_LEAST_REPEATS = 5
_OF_EXPOSURE = {"black", "overexposed", "covered", "start-up"}
_NOTHING_SEEN = "nothing can be told without pictures"


@dataclass(slots=True)
class Look:
    """What a camera gave within a few seconds: its pictures, when each came (monotonic s), or why it gave none."""

    pictures: list[Picture] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    why: str = ""

    @property
    def rate(self) -> float:
        """Pictures per second, once the camera had settled."""
        came = [each for each in self.came if each >= self.came[0] + _SETTLED_S] or self.came
        return (len(came) - 1) / (came[-1] - came[0]) if len(came) > 1 else 0.0


def checks(settings: EdgeLineSettings) -> Iterator[Finding]:
    """Everything that an edge depends on.

    Raises:
        ConfigError: a setting can never work.
    """
    edge, node = settings.edge, node_name(settings)
    opener = find_source(edge.source, edge.request, edge.camera.view)
    yield from judge_look(look(opener, edge, LOOK_S), edge)
    yield check_clock()
    yield from check_broker(settings, node)
    yield check_disk(edge.outbox, settings.log.directory)
    yield check_power()
    yield check_pins(" and ".join(_pins_for(settings)))


def _pins_for(settings: EdgeLineSettings) -> Iterator[str]:
    if settings.edge.trigger == "gpio":
        yield "the photo-eye"
    if settings.led_pin is not None:
        yield "the status lamp"


def look(opener: Opener, edge: EdgeSettings, seconds: float) -> Look:
    """Open the camera, and read it for so long from its first picture on; a driver that hangs is given up."""
    seen, begun, over = Look(), threading.Event(), threading.Event()

    def read() -> None:
        try:
            source = opener()
            seen.refused = adjust(source, edge.request)
            try:
                while not over.is_set():
                    picture = source.read()
                    seen.pictures = [*seen.pictures[-_LEAST_REPEATS:], picture]
                    seen.came.append(time.monotonic())
                    begun.set()
            finally:
                source.close()
        except OSError as error:
            seen.why = str(error)
            begun.set()

    thread = threading.Thread(target=read, name="camera", daemon=True)
    thread.start()
    if begun.wait(_PATIENCE_S):
        thread.join(seconds)
    over.set()
    thread.join(_GOODBYE_S if begun.is_set() else 0)
    return seen


def judge_look(seen: Look, edge: EdgeSettings) -> Iterator[Finding]:
    """Camera, exposure and focus."""
    name = redact_address(edge.source)
    if not seen.came:
        why = seen.why or f"no picture within {_PATIENCE_S:g} s: the driver hangs, plug the camera in again"
        to_do = (
            "sudo systemctl stop 'boardline-edge@*', if that has it"
            if "in use" in why
            else "as it says; which camera it is, stands in edge.source"
        )
        yield Finding("camera", "wrong", why, to_do)
        yield Finding("exposure", "skipped", _NOTHING_SEEN)
        yield Finding("focus", "skipped", _NOTHING_SEEN)
        return
    yield _camera(seen, edge, name)
    picture = seen.pictures[-1]
    try:
        image = decode_jpeg(picture.jpeg) if picture.jpeg is not None and picture.view is None else picture.pixels()
        flaw = None if image is None else find_flaw(image, edge.sharpness)
    except MessageRejected:
        image, flaw = None, TORN
    yield _exposure(image, flaw)
    yield _focus(image, flaw, edge.sharpness)


def _camera(seen: Look, edge: EdgeSettings, name: str) -> Finding:
    picture = seen.pictures[-1]
    form = "JPEG" if picture.jpeg is not None else "raw"
    found = f"{name}: {picture.width}x{picture.height}, {form}, {seen.rate:.1f} pictures a second of {edge.fps:g}"
    if how_long_the_same(edge.source) is not None and _all_the_same(seen.pictures):
        return Finding("camera", "wrong", f"{name}: {FROZEN.kind}", FROZEN.text)
    if seen.why:
        return Finding("camera", "wrong", f"{found}, then: {seen.why}", "look at its cable and its supply")
    if seen.rate < _FAST_ENOUGH * edge.fps:
        to_do = "in the dark a camera exposes long: more light, or a fixed edge.camera.exposure_ms; else less edge.fps"
        return Finding("camera", "wrong", found, to_do)
    if seen.refused:
        to_do = "leave out what it has not: v4l2-ctl --list-ctrls shows what it has"
        return Finding("camera", "wrong", f"{found}; it refuses {', '.join(seen.refused)}", to_do)
    return Finding("camera", "well", found)


def _all_the_same(pictures: Sequence[Picture]) -> bool:
    def content(picture: Picture) -> bytes:
        return picture.jpeg if picture.jpeg is not None else b"" if picture.image is None else picture.image.tobytes()

    return len(pictures) >= _LEAST_REPEATS and len({content(each) for each in pictures}) == 1


def _exposure(image: Image | None, flaw: Flaw | None) -> Finding:
    if image is None:
        text = "a picture that cannot be decoded" if flaw is None else flaw.kind
        return Finding("exposure", "wrong", text, TORN.text)
    found = f"brightness {image.mean():.0f} of 255 on average, {(image >= 250).mean():.0%} white"
    if flaw is not None and flaw.kind in _OF_EXPOSURE - {COVERED.kind} | {TORN.kind}:
        return Finding("exposure", "wrong", f"{flaw.kind}: {found}", flaw.text)
    return Finding("exposure", "well", found)


def _focus(image: Image | None, flaw: Flaw | None, usual: float | None) -> Finding:
    if image is None or (flaw is not None and flaw.kind not in {"blurred", COVERED.kind}):
        return Finding("focus", "skipped", _NOTHING_SEEN if image is None else f"the picture is {flaw and flaw.kind}")
    if flaw is not None and flaw.kind == COVERED.kind:
        to_do = "put a board before the camera; if one is there, something lies on the lens"
        return Finding("focus", "wrong", "nothing to focus on", to_do)
    found = f"sharpness {sharpness(image):.2f}"
    found += f", {usual:.2f} at the set-up" if usual else ", not set up yet: python -m edge_publisher set-up"
    if flaw is not None:
        return Finding("focus", "wrong", found, flaw.text)
    return Finding("focus", "well", found)
