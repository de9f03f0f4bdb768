"""`python -m edge_publisher set-up`: looks at the belt, and writes down what this side's edge needs to know of it."""

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any, ClassVar

import cv2
import yaml
from pydantic import Field

from edge_publisher.settings import EdgeLineSettings, configured_side, node_name
from edge_publisher.sources.base import CameraGone, CaptureRequest, Source, adjust, adjustable
from edge_publisher.sources.opening import find_source
from edge_publisher.survey import Finding, NothingFound, Survey, annotated
from pcb_bus.contract.codec import read_yaml
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.process import EXIT_CONFIG, EXIT_FAULT, EXIT_OK, keep_to_ourselves
from pcb_bus.runtime.redaction import redact
from pcb_bus.runtime.settings import config_folder, load_settings

_SETTLES_S = 3.0  # for the exposure of a camera that has just been opened
_ASK_S = 0.5
_LOCKED = ("exposure_ms", "gain", "white_balance")
_MOST_BLUR = 1.0  # pixels: more hides the smallest defects
_HEADER = """\
# Written by `python -m edge_publisher set-up`; it goes over the line's file. Run it again when camera, lens, lamp or
# belt have been changed. Other keys in here stay, comments do not.
"""


class SetUpSettings(EdgeLineSettings):
    """Look at the belt while boards go by, find where and which way they go, and write it down for this side's edge."""

    shortcuts: ClassVar[dict[str, str]] = {**EdgeLineSettings.shortcuts, "exposure_ms": "exposure-ms"}
    minutes: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How long to look."""
    exposure_ms: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """How long each picture is exposed, where the camera does not say; for the blur alone."""
    picture: Path = Path("var/edge")
    """Folder for the picture that shows what was found."""

    def own_files(self, folder: Path) -> tuple[Path, ...]:
        """What an earlier set-up found is looked for anew."""
        return ()


@dataclass(frozen=True, slots=True)
class Locked:
    """What the camera does from now on: `values` of `edge.camera`, and what it refuses, in words."""

    values: dict[str, float] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


def main(argv: list[str]) -> int:
    """0: written down. 1: the camera shows nothing that could be. 2: wrong settings."""
    keep_to_ourselves()
    try:
        settings = load_settings(SetUpSettings, argv, program="edge_publisher set-up")
        _set_up(settings, config_folder(argv))
    except (ConfigError, NothingFound, CameraGone) as error:
        print(f"edge_publisher set-up: {redact(str(error))}", file=sys.stderr)
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAULT
    return EXIT_OK


def _set_up(settings: SetUpSettings, folder: Path) -> None:
    side, edge = configured_side(settings), settings.edge
    file, drawing = folder / f"{node_name(settings)}.yaml", settings.picture / f"set-up-{side}.png"
    for each in (file, drawing):
        _must_be_writable(each)
    request = _choosing(edge.request)
    source = find_source(edge.source, request, edge.camera.view)()
    try:
        adjust(source, request)
        print(f"looking at the belt for {settings.minutes:g} min; let boards go by, one after the other")
        survey, values = look(source, settings.minutes * 60)
        finding = survey.finding()
        locked = lock(source, edge.request, values, finding)
    finally:
        source.close()
    _save(drawing, cv2.imencode(".png", annotated(finding))[1].tobytes())
    written = write_down(file, side, finding, locked)
    for line in told(finding, locked, settings.exposure_ms):
        print(line)
    print(f"written to {file}, which goes over the line's file:\n{written}")
    print(f"inference reads its part once it starts anew; on another machine, copy {file.name} beside its line's file")
    print(f"{drawing} shows it: the region yellow, the way red, a board blue")


def look(source: Source, seconds: float) -> tuple[Survey, list[tuple[int, CaptureRequest]]]:
    """Watch for so long; also what the camera said of its optics, and when.

    Raises:
        CameraGone: there are no more pictures.
    """
    survey, values, camera = Survey(), list[tuple[int, CaptureRequest]](), adjustable(source)
    first = source.read().captured_at
    settled = first + (round(min(_SETTLES_S, seconds / 4) * NS_PER_S) if camera else 0)
    asked = time.monotonic()
    while True:
        picture = source.read()
        at = picture.captured_at
        if at >= settled and (pixels := picture.pixels()) is not None:
            survey.add(pixels, at)
        if camera and time.monotonic() - asked >= _ASK_S:
            asked = time.monotonic()
            values.append((at, camera.values()))
        if at - first >= seconds * NS_PER_S:
            return survey, values


def lock(source: Source, request: CaptureRequest, values: list[tuple[int, CaptureRequest]], finding: Finding) -> Locked:
    """Fix what the camera chose itself while boards went by, where it can be; what `request` asks for stays so."""
    if not values:
        return Locked()
    nearest = [
        min(values, key=lambda value, at=each.captured_at_ns: abs(value[0] - at))[1]  # type: ignore[misc]
        for each in finding.passes
    ]
    wanted: dict[str, Any] = {}
    for name in _LOCKED:
        numbers = [number for each in nearest if isinstance(number := getattr(each, name), int | float)]
        if numbers and not isinstance(getattr(request, name), int | float):
            wanted[name] = round(median(numbers), 3)
    refused = adjust(source, replace(request, **wanted))
    kept = {name: value for name, value in wanted.items() if not any(each.startswith(f"{name} ") for each in refused)}
    return Locked(kept, tuple(refused))


def told(finding: Finding, locked: Locked, exposure_ms: float | None) -> Iterable[str]:
    """What was found, in sentences."""
    options = finding.options
    left, top, width, height = options.region or (0, 0, 1, 1)
    yield (
        f"{len(finding.passes)} boards went by, to the {options.direction}"
        if options.direction
        in {
            "left",
            "right",
        }
        else f"{len(finding.passes)} boards went {options.direction}"
    )
    yield f"region: {width:.0%} of the picture's width from {left:.0%}, {height:.0%} of its height from {top:.0%}"
    yield f"sensitivity: {options.sensitivity:g}; sharpness: {finding.sharpness:.2f}"
    if finding.doubt:
        yield f"warning: {finding.doubt}; watch the first boards, and look again if their number is wrong"
    if locked.values:
        yield "locked: " + ", ".join(f"{name} {value:g}" for name, value in locked.values.items())
    elif not locked.refused:
        yield "exposure and white balance cannot be locked through this source: lock them in the camera's own settings"
    if locked.refused:
        yield f"the camera refuses {', '.join(locked.refused)}"
    yield _blur(finding.speed, locked.values.get("exposure_ms", exposure_ms))


def _blur(speed: float, exposure_ms: float | None) -> str:
    most_ms = _MOST_BLUR / speed * 1000
    goes = f"boards go {speed:.0f} pixels a second"
    if exposure_ms is None:
        return f"{goes}: the exposure is not known (--exposure-ms says it); {most_ms:.1f} ms would blur one pixel"
    blur = speed * exposure_ms / 1000
    way_out = "" if blur <= _MOST_BLUR else f": small defects may hide in it; at {most_ms:.1f} ms it would be one pixel"
    return f"{goes}; {exposure_ms:g} ms of exposure blur {blur:.1f} pixels{way_out}"


def write_down(file: Path, side: str, finding: Finding, locked: Locked) -> str:
    """Put it into `file`, for the edge of this side and for inference, beside what else stands there; what was written.

    Raises:
        ConfigError: it cannot be read or written.
    """
    before = (read_yaml(file) or {}) if file.exists() else {}
    edge, inference = {**before.get("edge", {}), **_news(finding)}, before.get("inference", {})
    of_side = {key: {**inference.get(key, {}), side: value} for key, value in _news(finding).items()}
    camera = {**{k: v for k, v in edge.get("camera", {}).items() if k not in _LOCKED}, **locked.values}
    if camera:
        edge["camera"] = camera
    else:
        edge.pop("camera", None)
    text = yaml.safe_dump(
        {**before, "edge": edge, "inference": {**inference, **of_side}},
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
    )
    _save(file, (_HEADER + text).encode())
    return text.rstrip()


def _news(finding: Finding) -> dict[str, Any]:
    options = finding.options
    presence = {
        "region": list(options.region or (0, 0, 1, 1)),
        "direction": options.direction,
        "sensitivity": options.sensitivity,
    }
    return {"presence": presence, "sharpness": round(finding.sharpness, 3)}


def _choosing(request: CaptureRequest) -> CaptureRequest:
    """The camera chooses what nobody has fixed, as long as it looks: a set-up before this one may have locked it."""
    chosen: dict[str, Any] = {
        name: "auto" for name in ("exposure_ms", "white_balance") if getattr(request, name) is None
    }
    return replace(request, **chosen)


def _must_be_writable(file: Path) -> None:
    """Found out before the minute is over."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(file if file.exists() else file.parent, os.W_OK)
    except OSError as error:
        raise ConfigError(f"{file.parent}: cannot be made: {error.strerror}; run as its owner, or elsewhere") from None
    if not writable:
        raise ConfigError(f"{file}: cannot be written; run as its owner, or let this user write it")


def _save(file: Path, data: bytes) -> None:
    """All of it or nothing."""
    new = file.with_name(f".{file.name}.new")
    try:
        new.write_bytes(data)
        new.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None
