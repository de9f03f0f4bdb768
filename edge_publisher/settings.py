"""The `edge` section of the line's configuration."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from edge_publisher.sources import CaptureRequest
from pcb_bus.contract.messages import Label, Name, Whole
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import LineSettings, Section

TriggerMode = Literal["free_run", "mqtt"]
JpegQuality = Annotated[Whole, Field(ge=1, le=100)]
Fps = Annotated[float, Field(ge=0.01, le=240)]


class EdgeSettings(Section):
    """One camera and the side that it looks at."""

    side: Name | None = None
    """One of `sides`; `--side left` for short."""
    source: Annotated[str, Field(min_length=1, coerce_numbers_to_str=True, repr=False)] = "0"
    """Camera index or /dev path, rtsp://…, a video file, a folder of images, sim://…; `--source` for short. One with a
    password in it belongs here or in the environment: `PCB_EDGE__SOURCE`."""
    trigger: TriggerMode = "free_run"
    """What decides which picture is sent: free_run, one every 1/fps s; mqtt, the one nearest to each trigger."""
    fps: Fps = 10.0
    """Pictures per second that the camera is asked for, and frames per second in free run."""
    width: Annotated[int, Field(ge=16, le=16_384)] = 640
    """Width asked of a camera, pixels."""
    height: Annotated[int, Field(ge=16, le=16_384)] = 480
    """Height asked of a camera, pixels."""
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
    """How sharp the pictures of boards were at the set-up; below 0.6 of it they are blurred."""
    stall_s: Annotated[float, Field(ge=0.5, le=600)] = 5.0
    """A camera that is silent for this long, and for three pictures, counts as dead."""

    @property
    def request(self) -> CaptureRequest:
        return CaptureRequest(self.width, self.height, self.fps)


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
