"""The `inference` section of the line's settings."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from inference_subscriber.engines.base import DetectOptions, Placement, Thresholds
from inference_subscriber.intake import FrameLimits
from inference_subscriber.joiner import JoinOptions
from pcb_bus.contract.messages import Name
from pcb_bus.contract.times import ms_to_ns
from pcb_bus.durable.outbox import Bounds
from pcb_bus.runtime.settings import LineSettings, Section
from pcb_bus.seeing.codes import OFF, Region, SerialKind, SerialPattern, SerialReader
from pcb_bus.seeing.presence import PresenceOptions

Share = Annotated[float, Field(ge=0, le=1)]
ClassShares = dict[Name, Share]
Positive = Annotated[int, Field(gt=0)]


class InferenceSettings(Section):
    """Detect, join, judge."""

    node: Name = "inference"
    """Name of this node: its login, and the last level of its status topic."""
    model: Path = Path("models/starter/boardline-starter.onnx")
    """Weights: .onnx or .xml runs in OpenVINO, .pt in PyTorch."""
    device: Annotated[str, Field(min_length=1)] = "auto"
    """auto, cpu, cuda, cuda:1, or a device of OpenVINO (GPU, NPU)."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """CPU threads of the engine; none: its own choice."""
    exact: bool = False
    """Reckon in FP32 although the device has a faster half precision (BF16 on newer CPUs, FP16 on GPUs)."""
    max_input: Annotated[int, Field(ge=32, le=8192)] = 640
    """Pixels of a frame's longer side at the network's input; larger frames are scaled down."""
    confidence: Share | None = None
    """Least confidence of a defect; none: each class has the one of the model's card, or 0.5 without such a card."""
    class_confidence: ClassShares = Field(default_factory=dict)
    """The same for single classes."""
    doubtful_confidence: Share | None = 0.1
    """With an anomaly file: boxes of so little confidence count too where the board is unlike its good boards, and none
    where it looks like all of them; none: the detector alone decides."""
    anomaly_threshold: Share = 0.5
    """Anomaly score above which a side is odd; 0.5 is what was calibrated on good boards."""
    iou: Share = 0.5
    """Boxes of one class that overlap more than this are one defect."""
    anomaly: dict[Name, Path] = Field(default_factory=dict)
    """By side: the file that `make fit-anomaly` wrote; a side without one has no anomaly score."""
    product: Name | None = None
    """The product on this line, as verdicts name it: anomaly files of another are refused; none: those of one product,
    whichever. Live, and by command, but for the anomaly files."""
    golden: dict[Name, Path] = Field(default_factory=dict)
    """By side: picture of a defect-free bare board, black copper on white laminate; it confirms and names defects."""
    sharpness: dict[Name, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """By side: how sharp its pictures were at the set-up; below 0.7 of it they are blurred. Without it, only what has
    nothing sharp in it is."""
    presence: dict[Name, PresenceOptions] = Field(default_factory=dict)
    """By side: where and how boards go by, as its frames without a board id show it; see `edge.presence`. The set-up of
    each side writes it, and `sharpness`, into `edge-<side>.yaml`."""
    serial: SerialKind = OFF
    """What is read on frames of boards, beside the detector, where their edges do not: qr, datamatrix, any of the two,
    or a reader of your own by its name; off: nothing."""
    serial_region: dict[Name, Region] = Field(default_factory=dict)
    """By side: where on the frame it is looked for, left, top, width and height as shares of its size."""
    serial_pattern: SerialPattern | None = None
    """A regular expression that a whole serial matches; its group `product`, if any, names the board's product."""
    max_batch: Annotated[int, Field(ge=1, le=64)] = 8
    """Most frames in one run of the network; an engine for which batches gain nothing takes fewer."""
    join_timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 600
    """A board whose sides are not all there by then is judged on what was seen."""
    max_frame_age_ms: Annotated[int, Field(ge=50, le=600_000)] = 2_000
    """Older frames are dropped unseen."""
    deadline_ms: Annotated[int, Field(ge=10, le=600_000)] = 1_000
    """A gate may act on a verdict for so long after the board was ready."""
    evidence_share: Share = 0.05
    """Share of the normal boards whose frames are kept as well."""
    max_pixels: Positive = 25_000_000
    """Frames of more pixels are rejected."""
    max_open_boards: Annotated[int, Field(ge=2, le=10_000)] = 200
    """Boards under way; one more, and the oldest is judged at once."""
    outbox: Path = Path("var/inference/outbox.db")
    """Verdicts that the recorder has not named yet: they outlive a crash, and go out again until it does."""
    outbox_rows: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    """How many at most; an alert is raised when half of them wait."""
    outbox_mb: Annotated[int, Field(ge=1, le=100_000)] = 256
    """How many megabytes of them at most."""
    evidence_outbox: Path = Path("var/inference/evidence.db")
    """Pictures of boards that were not normal, likewise."""
    evidence_outbox_mb: Annotated[int, Field(ge=1, le=100_000)] = 512
    """How many megabytes of them at most."""


class InferenceLine(LineSettings):
    """Detects defects in frames, joins the sides of each board, and publishes one verdict for it."""

    shortcuts: ClassVar[dict[str, str]] = {
        **LineSettings.shortcuts,
        "inference.model": "model",
        "inference.device": "device",
    }
    keys_of_own_files: ClassVar[frozenset[str] | None] = frozenset({"inference"})

    inference: InferenceSettings = InferenceSettings()

    def own_files(self, folder: Path) -> tuple[Path, ...]:
        """`edge-<side>.yaml` of each side, as its set-up wrote it: where boards go by there, and how sharp they are."""
        return tuple(folder / f"edge-{side}.yaml" for side in self.sides)

    @property
    def placement(self) -> Placement:
        return Placement(self.inference.device, self.inference.threads, self.inference.exact)

    @property
    def detect_options(self) -> DetectOptions:
        chosen = self.inference
        thresholds = Thresholds(chosen.confidence, chosen.class_confidence)
        return DetectOptions(thresholds, chosen.iou, chosen.max_input)

    @property
    def join_options(self) -> JoinOptions:
        chosen = self.inference
        return JoinOptions(
            timeout_ns=ms_to_ns(chosen.join_timeout_ms),
            max_frame_age_ns=ms_to_ns(chosen.max_frame_age_ms),
            max_open=chosen.max_open_boards,
        )

    @property
    def outbox_bounds(self) -> Bounds:
        return Bounds(self.inference.outbox_rows, self.inference.outbox_mb * 1_000_000)

    @property
    def evidence_bounds(self) -> Bounds:
        return Bounds(payload_bytes=self.inference.evidence_outbox_mb * 1_000_000)

    @property
    def serial_reader(self) -> SerialReader:
        """Raises ConfigError: there is no such reader."""
        return SerialReader(self.inference.serial, self.inference.serial_pattern, "inference.serial")

    @property
    def frame_limits(self) -> FrameLimits:
        return FrameLimits(frozenset(self.sides), self.inference.max_pixels)
