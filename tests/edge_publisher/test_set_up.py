"""A minute before the belt: what is found, what is refused, what is written down, and who reads it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from edge_publisher.__main__ import main
from edge_publisher.set_up import Locked, lock, look, told, write_down
from edge_publisher.settings import EdgeLineSettings
from edge_publisher.sources import CaptureRequest, Picture
from edge_publisher.survey import Finding, NothingFound, Survey, annotated
from inference_subscriber.settings import InferenceLine
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import load_settings
from pcb_bus.seeing.presence import Pass, PresenceOptions
from simulator.moving_belt import WIDTH, Image, Scene, cloth, product_boards, views

SCENE = Scene(product_boards(1, 3), 4, speed=(0.2, 0.3), gap=(40, 120), fps=10, lead_s=0.3)
Seen = Callable[[Image], Image]
Pictures = list[tuple[Image, int]]


def half_size(scene: Scene) -> Pictures:
    size = (320, 240)
    return [(np.asarray(cv2.resize(v.image, size), np.uint8), v.captured_at_ns) for v in views(scene)]


@lru_cache
def recording() -> Pictures:
    return half_size(SCENE)


@lru_cache
def plain_finding() -> Finding:
    return found(recording())


def found(pictures: Pictures, seen: Seen = lambda image: image) -> Finding:
    survey = Survey()
    for image, at in pictures:
        survey.add(seen(image), at)
    return survey.finding()


def in_a_machine(image: Image) -> Image:
    """The belt takes the middle of the picture; above and below are things that stand."""
    things = np.random.default_rng(3).integers(0, 255, (12, 16, 3), np.uint8)
    seen = np.asarray(cv2.resize(things, (320, 240), interpolation=cv2.INTER_NEAREST), np.uint8)
    seen[60:220] = cv2.resize(image, (320, 160), interpolation=cv2.INTER_AREA)
    return seen


@pytest.mark.parametrize(
    ("direction", "seen"),
    [
        ("right", lambda image: image),
        ("left", lambda image: cv2.flip(image, 1)),
        ("down", lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        ("up", lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
    ],
)
def test_region_direction_and_speed_are_found(direction: str, seen: Seen) -> None:
    finding = found(recording(), seen) if direction != "right" else plain_finding()
    left, top, width, height = finding.options.region or (0, 0, 0, 0)
    if direction in {"down", "up"}:
        left, top, width, height = top, left, height, width
    assert finding.options.direction == direction
    assert finding.options.sensitivity == 1
    assert len(finding.passes) == 4
    assert (left, width) == (0, 1)
    assert 0.1 < top < 0.25  # boards of 255 pixels of 480, which lie up to 40 pixels off the middle
    assert 0.75 < top + height < 0.95
    assert 180 < finding.speed < 320  # 0.2 to 0.3 m/s, at 1,000 pixels a metre
    assert not finding.doubt


def test_what_stands_beside_the_belt_is_no_region() -> None:
    region = found(recording(), in_a_machine).options.region or (0, 0, 0, 0)
    assert region[1] > 60 / 240
    assert region[1] + region[3] < 220 / 240


def test_boards_of_little_contrast_need_more_sensitivity() -> None:
    faint = tuple(cv2.addWeighted(each, 0.3, np.full_like(each, 56), 0.7, 0).astype(np.uint8) for each in SCENE.boards)
    assert found(half_size(replace(SCENE, boards=faint))).options.sensitivity > 1


def test_a_rough_belt_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def rough(rng: np.random.Generator) -> Image:
        belt = cloth(rng)
        grain = cv2.GaussianBlur(rng.normal(0, 32, belt.shape[:2]).astype(np.float32), (0, 0), 2)
        grainy = np.asarray(np.clip(belt + grain[..., None], 0, 255), np.uint8)
        grainy[:, -WIDTH:] = grainy[:, :WIDTH]
        return grainy

    monkeypatch.setattr("simulator.moving_belt.cloth", rough)
    survey = Survey()
    for view in views(SCENE):
        survey.add(view.image, view.captured_at_ns)
    finding = survey.finding()
    assert finding.options.sensitivity < 1
    assert len(finding.passes) == 4


@pytest.mark.parametrize(
    ("scene", "why"),
    [
        (Scene(lead_s=3, fps=10, disturbances=frozenset({"lighting drift"})), "no whole board went by"),
        (Scene(lead_s=6, fps=10, disturbances=frozenset({"hand"})), "goes every way"),
        (replace(SCENE, count=1), "only 1 of 3 boards"),
    ],
)
def test_too_little_is_refused(scene: Scene, why: str) -> None:
    with pytest.raises(NothingFound, match=why):
        found(half_size(scene))


def test_a_picture_that_stands_is_refused() -> None:
    image = recording()[20][0]
    with pytest.raises(NothingFound, match="nothing moved"):
        found([(image, number * NS_PER_S // 10) for number in range(30)])


def test_a_belt_that_looks_like_boards_raises_doubt() -> None:
    """Without a gap all that goes by is one long thing."""
    pattern = np.random.default_rng(1).integers(0, 255, (60, 400, 3), np.uint8)
    long = np.asarray(cv2.resize(pattern, (3200, 480), interpolation=cv2.INTER_NEAREST), np.uint8)
    boards = tuple(long[:, at : at + 800] for at in range(0, 3200, 800))
    scene = Scene(boards, 4, speed=(0.3, 0.4), gap=(30, 60), fps=10, lead_s=0.3)
    assert "fills the view" in found(half_size(scene)).doubt


def test_the_picture_shows_region_way_and_outline() -> None:
    finding = plain_finding()
    drawn = annotated(finding)
    assert drawn.shape == (240, 320, 3)
    for colour in ((0, 220, 255), (255, 160, 0), (60, 60, 255)):
        assert (drawn == colour).all(axis=2).sum() > 100


FINDING = Finding(
    PresenceOptions(region=(0, 0.1, 1, 0.8), direction="left", sensitivity=0.67),
    tuple(Pass(each * NS_PER_S) for each in range(1, 5)),
    0.51234,
    250.0,
    "",
    (np.zeros((240, 320, 3), np.uint8), (0.1, 0.2, 0.6, 0.8)),
)


def test_what_is_written_goes_over_the_lines_file_and_nothing_else_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, own = tmp_path / "line.yaml", tmp_path / "edge-left.yaml"
    line.write_text("edge: {fps: 15, sharpness: 0.9, presence: {sensitivity: 2}}  # mine\n")
    own.write_text("edge: {product: a, camera: {focus: 3, exposure_ms: 9, gain: 1}}\n")
    before = line.read_text()
    write_down(own, "left", FINDING, Locked({"exposure_ms": 4.5}))
    assert line.read_text() == before
    arguments = ["--config", str(line), "--side", "left"]
    edge = load_settings(EdgeLineSettings, arguments).edge
    assert edge.presence == FINDING.options
    assert (edge.fps, edge.sharpness, edge.product) == (15, 0.512, "a")
    assert (edge.camera.focus, edge.camera.exposure_ms, edge.camera.gain) == (3, 4.5, None)
    assert load_settings(EdgeLineSettings, [*arguments[:-1], "right"]).edge.sharpness == 0.9
    monkeypatch.setenv("PCB_EDGE__SHARPNESS", "0.3")
    assert load_settings(EdgeLineSettings, arguments).edge.sharpness == 0.3
    assert load_settings(EdgeLineSettings, [*arguments, "--edge.sharpness", "0.4"]).edge.sharpness == 0.4


def test_inference_reads_its_part_of_each_sides_file_and_nothing_else_there(tmp_path: Path) -> None:
    line, left, right = (tmp_path / name for name in ("line.yaml", "edge-left.yaml", "edge-right.yaml"))
    line.write_text("inference: {confidence: 0.3, sharpness: {left: 0.9}, presence: {left: {stills: true}}}\n")
    left.write_text("led_pin: 24\nroot: other\ninference: {presence: {left: {singles: false, sensitivity: 9}}}\n")
    written = write_down(left, "left", FINDING, Locked())
    write_down(right, "right", replace(FINDING, sharpness=0.4), Locked())
    assert "&" not in written
    read = load_settings(InferenceLine, ["--config", str(line), "--inference.confidence", "0.4"])
    assert read.inference.presence == {
        "left": FINDING.options.model_copy(update={"stills": True}),
        "right": FINDING.options,
    }
    assert read.inference.sharpness == {"left": 0.512, "right": 0.4}
    assert (read.inference.confidence, read.root, read.led_pin) == (0.4, "pcb", None)
    right.write_text("inference: {presence: {right: {region: [0, 0, 2, 1]}}}\n")
    with pytest.raises(ConfigError, match=r"inference\.presence\.right\.region"):
        load_settings(InferenceLine, ["--config", str(line)])


def test_a_wrong_key_is_told_with_its_own_file(tmp_path: Path) -> None:
    own = tmp_path / "edge-left.yaml"
    own.write_text("edge: {presense: {}}\n")
    (tmp_path / "line.yaml").write_text("{}\n")
    with pytest.raises(ConfigError, match=rf"edge\.presense: unknown key \(in {own}"):
        load_settings(EdgeLineSettings, ["--config", str(tmp_path / "line.yaml"), "--side", "left"])


@dataclass
class ChoosingCamera:
    """Shows a recording, and chooses its exposure; it has no white balance that could be set."""

    has: CaptureRequest = field(default_factory=lambda: CaptureRequest(exposure_ms=8.0, gain=2.0, white_balance=5000))
    shown: int = 0

    def read(self) -> Picture:
        image, at = recording()[self.shown]
        self.shown += 1
        return Picture(at, 320, 240, image=image)

    def adjust(self, request: CaptureRequest) -> CaptureRequest:
        self.has = replace(self.has, exposure_ms=request.exposure_ms, gain=request.gain)
        return replace(self.has, white_balance=None)

    def values(self) -> CaptureRequest:
        return self.has

    def close(self) -> None: ...


def test_what_the_camera_chose_is_fixed_and_what_it_refuses_is_told() -> None:
    camera = ChoosingCamera()
    values = [(NS_PER_S, replace(camera.has, exposure_ms=6.0)), (60 * NS_PER_S, replace(camera.has, exposure_ms=20.0))]
    locked = lock(camera, CaptureRequest(), values, FINDING)
    assert locked.values == {"exposure_ms": 6.0, "gain": 2.0}  # as it was when boards went by
    assert camera.has.exposure_ms == 6.0
    assert [each.partition(" ")[0] for each in locked.refused] == ["white_balance"]
    assert "blur 1.5 pixels" in list(told(FINDING, locked, None))[-1]


def test_what_the_user_fixed_stays_so() -> None:
    camera = ChoosingCamera()
    request = CaptureRequest(exposure_ms=3.0)
    assert lock(camera, request, [(NS_PER_S, camera.has)], FINDING).values == {"gain": 2.0}
    assert camera.has.exposure_ms == 3.0


def test_the_looking_ends_after_its_time() -> None:
    camera = ChoosingCamera()
    look(camera, 2.0)
    assert recording()[camera.shown - 1][1] - recording()[0][1] == 2 * NS_PER_S


@pytest.mark.parametrize(
    ("exposure_ms", "words"),
    [
        (None, "4.0 ms would blur one pixel"),
        (2.0, "blur 0.5 pixels"),
        (20.0, "blur 5.0 pixels: small defects may hide"),
    ],
)
def test_the_blur_is_told(exposure_ms: float | None, words: str) -> None:
    assert words in list(told(FINDING, Locked(), exposure_ms))[-1]


def test_the_command_writes_it_all_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    belt = cv2.VideoWriter("belt.avi", cv2.VideoWriter.fourcc(*"MJPG"), 15, (640, 480))
    scene = replace(SCENE, count=3, speed=(0.45, 0.46), gap=(40, 60), fps=15)
    pictures = [view.image for view in views(scene)]
    for image in pictures:
        belt.write(image)
    belt.release()
    minutes = str((len(pictures) - 2) / 15 / 60)
    (tmp_path / "line.yaml").write_text("log: {directory: none}\n")
    arguments = ["--config", "line.yaml", "--side", "left", "--source", "belt.avi", "--minutes", minutes]
    assert main(["set-up", *arguments, "--exposure-ms", "5"]) == 0
    said = capsys.readouterr().out
    assert "3 boards went by, to the right" in said
    assert "cannot be locked" in said
    assert "5 ms of exposure blur 4." in said
    written = yaml.safe_load((tmp_path / "edge-left.yaml").read_text())
    assert written["edge"]["presence"]["direction"] == "right"
    assert written["inference"]["presence"]["left"] == written["edge"]["presence"]
    assert "edge-left.yaml" in said
    assert "on another machine, copy edge-left.yaml beside its line's file" in said
    drawing = cv2.imread("var/edge/set-up-left.png")
    assert drawing is not None
    assert drawing.shape == (480, 640, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--source", "black"], 1, "nothing moved"),
        (["--source", "nowhere"], 2, "edge.source: no such"),
        (["--source", "black", "--picture", "line.yaml/x"], 2, "cannot be made"),
        (["--source", "black", "--minutes", "0"], 2, "minutes"),
    ],
)
def test_what_goes_wrong_is_one_line(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "black").mkdir()
    cv2.imwrite("black/1.png", np.zeros((240, 320, 3), np.uint8))
    (tmp_path / "line.yaml").write_text("edge: {fps: 50}\n")
    given = ["set-up", "--config", "line.yaml", "--side", "left", "--minutes", "0.005"]
    assert main([*given, *arguments]) == code
    said = capsys.readouterr().err
    assert said.startswith("edge_publisher set-up: ")
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "edge-left.yaml").exists()
