"""The `edge` section of the line's configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WrapValidator, model_validator

from edge_publisher.sources import CaptureRequest, View
from edge_publisher.sources.base import Turn
from pcb_bus.contract.messages import Label, Name, Pin, Whole
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import LineSettings, Section
from pcb_bus.seeing.codes import OFF, Region, SerialKind, SerialPattern
from pcb_bus.seeing.presence import PresenceOptions

OPTICS = ("exposure_ms", "gain", "white_balance", "focus")
TriggerMode = Literal["presence", "gpio", "mqtt", "free_run"]
JpegQuality = Annotated[Whole, Field(ge=1, le=100)]
Fps = Annotated[float, Field(ge=0.01, le=240)]


Share = Annotated[float, Field(ge=0, le=1)]


_TURNS = {"0": 0, "90": 90, "180": 180, "270": 270}  # the command line and the environment give text


def _or_auto(value: object, check: Callable[[object], float]) -> float | str:
    return "auto" if value == "auto" else check(value)


# Or `auto`, which their type does not say: one line about a wrong value is clearer than two.
Exposure = Annotated[float, Field(gt=0, le=10_000), WrapValidator(_or_auto)]
WhiteBalance = Annotated[float, Field(ge=1000, le=20_000), WrapValidator(_or_auto)]
Focus = Annotated[float, Field(ge=0, le=100_000), WrapValidator(_or_auto)]
Gain = Annotated[float, Field(ge=0, le=100_000)]
Rotation = Annotated[Turn, BeforeValidator(lambda given: _TURNS.get(str(given), given))]


class CameraSettings(Section):
    """What the camera is told of its optics, and what is seen of its pictures. What is not set stays as the camera has
    it; what it refuses is told when it is opened."""

    exposure_ms: Exposure | None = None
    """How long each picture is exposed; auto: the camera decides. Boards on a moving belt want it short and fixed."""
    gain: Gain | None = None
    """In the camera's own unit."""
    white_balance: WhiteBalance | None = None
    """Colour temperature, K; auto: the camera decides."""
    focus: Focus | None = None
    """In the camera's own unit, dioptres for csi://; auto: the camera decides."""
    crop: tuple[Share, Share, Share, Share] | None = None
    """Region that is seen: left, top, width and height as shares of the picture, as the camera gives it."""
    rotate: Rotation = 0
    """Then it is turned clockwise by so many degrees: 0, 90, 180 or 270."""

    @model_validator(mode="after")
    def _within(self) -> Self:
        left, top, width, height = self.crop or (0, 0, 1, 1)
        if not width or not height or left + width > 1.001 or top + height > 1.001:
            raise ValueError("crop has to lie within the picture: left + width and top + height are 1 at most")
        return self

    @property
    def view(self) -> View:
        return View(self.crop, self.rotate)


class GpioSettings(Section):
    """A photo-eye on a pin of this Pi: docs/photo_eye.md says how it is wired."""

    pin: Pin
    """BCM number."""
    edge: Literal["rising", "falling"] = "falling"
    """What the pin does when a board comes: through an optocoupler that pulls it down, falling."""
    pull: Literal["up", "down", "none"] = "up"
    """The Pi's own resistor; none if there is one on the board."""
    debounce_ms: Annotated[float, Field(ge=0, le=1000)] = 5
    """A board counts once it has been there for so long, from its first moment on."""


class EdgeSettings(Section):
    """One camera and the side that it looks at."""

    side: Name | None = None
    """One of `sides`; `--side left` for short."""
    source: Annotated[str, Field(min_length=1, coerce_numbers_to_str=True, repr=False)] = "0"
    """Camera index or /dev path, csi://0, rtsp://…, http://… (MJPEG), a video file, a folder of images, sim://…;
    `--source` for short. One with a password in it belongs here or in the environment: `PCB_EDGE__SOURCE`."""
    sources: Annotated[dict[Name, str], Field(repr=False)] = Field(default_factory=dict)
    """Further sources by name: a command may change to one of these, and to no other."""
    trigger: TriggerMode = "presence"
    """What decides which picture is sent: presence, one of each board that the edges see go by; gpio, the one nearest
    to each board that breaks the photo-eye of this Pi; mqtt, the one nearest to each trigger; free_run, one every
    1/fps s."""
    gpio: GpioSettings | None = None
    """The photo-eye, in mode gpio."""
    presence: PresenceOptions = PresenceOptions()
    """Where boards go by, in mode presence."""
    outbox: Path = Path("var/edge")
    """Folder of what this edge announced and the recorder has not named yet: `<side>.db`."""
    fps: Fps = 10.0
    """Pictures per second that the camera is asked for, and frames per second in free run."""
    width: Annotated[int, Field(ge=16, le=16_384)] = 640
    """Width asked of a camera, pixels."""
    height: Annotated[int, Field(ge=16, le=16_384)] = 480
    """Height asked of a camera, pixels."""
    camera: CameraSettings = CameraSettings()
    """Its optics, and what is seen of its pictures."""
    max_side: Annotated[int, Field(ge=64, le=16_384)] = 1920
    """A picture with a longer side is scaled down to this, pixels."""
    jpeg_quality: JpegQuality = 85
    """Quality of pictures that do not come as JPEG."""
    preview_fps: Annotated[float, Field(ge=0, le=30)] = 2.0
    """Rate of the live view; 0 turns it off."""
    ring_s: Annotated[float, Field(ge=0.2, le=30)] = 1.5
    """How long pictures are kept for a trigger that comes late."""
    product: Label | None = None
    """What its frames say that the boards are, for lines on which each camera has a product of its own."""
    sharpness: Annotated[float, Field(gt=0, le=1)] | None = None
    """How sharp the pictures of boards were at the set-up; below 0.7 of it they are blurred."""
    serial: SerialKind = OFF
    """What is read on pictures of boards, once their frames have gone: qr, datamatrix, any of the two, or a reader of
    your own by its name; off: nothing, for reading costs CPU."""
    serial_region: Region | None = None
    """Where on the picture it is looked for: left, top, width and height as shares of its size; none: everywhere."""
    serial_pattern: SerialPattern | None = None
    """A regular expression that a whole serial matches; its group `product`, if any, names the board's product."""
    stall_s: Annotated[float, Field(ge=0.5, le=600)] = 5.0
    """A camera that is silent for this long, and for three pictures, counts as dead."""

    @model_validator(mode="after")
    def _eye_has_a_pin(self) -> Self:
        if self.trigger == "gpio" and self.gpio is None:
            raise ValueError("trigger gpio needs the pin of the photo-eye: gpio.pin (docs/photo_eye.md)")
        return self

    @property
    def request(self) -> CaptureRequest:
        """What the source is asked for."""
        camera = self.camera
        optics: dict[str, Any] = {name: getattr(camera, name) for name in OPTICS}
        return CaptureRequest(self.width, self.height, self.fps, **optics)


class EdgeLineSettings(LineSettings):
    """Publish the pictures of one camera: one frame for each trigger, or one every 1/fps s."""

    shortcuts: ClassVar[dict[str, str]] = {
        **LineSettings.shortcuts,
        "edge.side": "side",
        "edge.source": "source",
        "edge.trigger": "trigger",
    }
    may_be_seen: ClassVar[frozenset[str]] = frozenset({"edge.source"})

    edge: EdgeSettings = EdgeSettings()
    """The camera of this node."""

    def own_files(self, folder: Path) -> tuple[Path, ...]:
        """`edge-<side>.yaml`, which the set-up writes."""
        return () if self.edge.side is None else (folder / f"edge-{self.edge.side}.yaml",)


def configured_side(settings: EdgeLineSettings) -> str:
    """The side that this edge looks at.

    Raises:
        ConfigError: none is given, or the line has no such side.
    """
    side, sides = settings.edge.side, settings.sides
    if side not in sides:
        given = "none is given" if side is None else f"the line has no {side!r}"
        raise ConfigError(f"edge.side: {given}; sides: {', '.join(sides)} (for example --side {sides[0]})")
    return side


def node_name(settings: EdgeLineSettings) -> str:
    """`edge-<side>`; raises ConfigError as `configured_side` does."""
    return f"edge-{configured_side(settings)}"
