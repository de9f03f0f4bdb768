"""The shipped model in each engine, and models that are refused."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import openvino as ov
import pytest
import torch

from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import Detection, DetectOptions, Findings, Image, Placement, Thresholds
from inference_subscriber.engines.calibration import UNCALIBRATED
from inference_subscriber.engines.network import NetworkEngine
from pcb_bus.errors import ConfigError
from simulator.bare_board import DrawnBoard, draw_board

DEFECTS = ("open_circuit", "mouse_bite", "spur", "spurious_copper", "pin_hole")
FRAMES = ((640, 480), (640, 640))


#: Engines are compared by what their networks say, whatever the card beside the model makes of it.
PLAIN = DetectOptions(calibration=UNCALIBRATED)


@pytest.fixture(scope="module")
def starter(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / "models" / "starter" / "boardline-starter.onnx"


@pytest.fixture(scope="module")
def openvino(starter: Path) -> NetworkEngine:
    return open_engine(starter, Placement(), PLAIN)


@pytest.fixture(scope="module")
def pytorch(starter: Path) -> NetworkEngine:
    return open_engine(starter.with_suffix(".pt"), Placement("cpu"), PLAIN)


@pytest.fixture(scope="module")
def board() -> DrawnBoard:
    return draw_board(7, 640, 480, DEFECTS)


def overlap(a: Detection, b: Detection) -> float:
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - both)


def assert_same(found: Findings, expected: Findings, pixels: float, confidence: float) -> None:
    """Each sure defect of the one is in the other, up to so many pixels and so much confidence."""
    for one, other in ((found, expected), (expected, found)):
        for each in one.detections:
            if each.confidence > 0.3:
                twin = max(other.detections, key=lambda candidate: overlap(candidate, each))
                assert twin.class_name == each.class_name
                assert twin.confidence == pytest.approx(each.confidence, abs=confidence)
                corners = [(twin.x1, each.x1), (twin.y1, each.y1), (twin.x2, each.x2), (twin.y2, each.y2)]
                assert all(abs(first - second) <= pixels for first, second in corners)


def test_the_drawn_defects_are_found(openvino: NetworkEngine, board: DrawnBoard) -> None:
    (found,) = openvino.detect([board.image])
    assert {each.class_name for each in found.detections} >= set(DEFECTS)
    for drawn in board.defects:
        box = Detection(drawn.x1, drawn.y1, drawn.x2, drawn.y2, 1.0, drawn.class_name)
        assert any(overlap(box, each) > 0.33 for each in found.detections)


@pytest.mark.parametrize(("exact", "pixels", "confidence"), [(True, 1, 0.02), (False, 4, 0.06)])
def test_openvino_and_pytorch_agree(
    starter: Path, pytorch: NetworkEngine, board: DrawnBoard, exact: bool, pixels: float, confidence: float
) -> None:
    openvino = open_engine(starter, Placement(exact=exact), PLAIN)
    assert openvino.names == pytorch.names
    (found,), (expected,) = openvino.detect([board.image]), pytorch.detect([board.image])
    assert expected.detections
    assert_same(found, expected, pixels, confidence)


def test_onnx_runtime_agrees(starter: Path, pytorch: NetworkEngine, board: DrawnBoard) -> None:
    module = pytest.importorskip("inference_subscriber.engines.onnxruntime_engine", exc_type=ModuleNotFoundError)
    engine = module.OnnxRuntimeEngine(starter, pytorch.model, Placement(), PLAIN)
    (found,), (expected,) = engine.detect([board.image]), pytorch.detect([board.image])
    assert_same(found, expected, pixels=1, confidence=0.02)


def test_openvinos_own_format_is_read_too(starter: Path, openvino: NetworkEngine, tmp_path: Path) -> None:
    nameless = renamed_classes(starter, tmp_path / "nameless.onnx", None)
    network = ov.Core().read_model(nameless)
    network.set_rt_info(" ".join(openvino.names), ["model_info", "labels"])
    ov.save_model(network, tmp_path / "own.xml")
    engine = open_engine(tmp_path / "own.xml", Placement(), PLAIN)
    assert engine.names == openvino.names
    (tmp_path / "own.bin").unlink()
    with pytest.raises(ConfigError, match=r"inference\.model: cannot read"):
        open_engine(tmp_path / "own.xml", Placement(), PLAIN)


def test_a_fixed_size_gives_what_the_open_one_gives(starter: Path, board: DrawnBoard) -> None:
    engine = open_engine(starter, Placement(exact=True), PLAIN)
    (expected,) = engine.detect([board.image])
    engine.warm_up(FRAMES, most=2)
    for found in [*engine.detect([board.image]), *engine.detect([board.image] * 2)]:
        assert_same(found, expected, pixels=0.1, confidence=0.001)


@pytest.mark.parametrize("engine", ["openvino", "pytorch"])
def test_a_batch_gives_what_single_images_give(request: pytest.FixtureRequest, board: DrawnBoard, engine: str) -> None:
    network: NetworkEngine = request.getfixturevalue(engine)
    whole, cut = (np.ascontiguousarray(board.image[:height, :320]) for height in (256, 250))
    large = np.asarray(cv2.resize(whole, (800, 640)), np.uint8)
    images: Sequence[Image] = [whole, cut, large, whole]
    together = network.detect(images)
    for image, found in zip(images, together, strict=True):
        assert_same(found, network.detect([image])[0], pixels=0.5, confidence=0.01)


def test_boxes_of_a_large_frame_are_in_its_own_pixels(openvino: NetworkEngine, board: DrawnBoard) -> None:
    large = np.asarray(cv2.resize(board.image, (1280, 960), interpolation=cv2.INTER_CUBIC), np.uint8)
    (found,) = openvino.detect([large])
    for drawn in board.defects:
        box = Detection(2 * drawn.x1, 2 * drawn.y1, 2 * drawn.x2, 2 * drawn.y2, 1.0, drawn.class_name)
        assert any(overlap(box, each) > 0.33 for each in found.detections)


def test_a_threshold_of_its_own_silences_a_class(starter: Path, board: DrawnBoard) -> None:
    deaf = DetectOptions(Thresholds(0.25, {"spur": 1.0}), calibration=UNCALIBRATED)
    (found,) = open_engine(starter, Placement("cpu", threads=1), deaf).detect([board.image])
    assert "spur" not in {each.class_name for each in found.detections}
    assert found.detections


@pytest.mark.parametrize(
    ("path", "device", "message"),
    [
        ("missing.onnx", "auto", r"inference\.model: cannot read .*missing\.onnx: No such file"),
        ("model.h5", "auto", r"inference\.model: .* none of \.onnx, \.xml, \.pt"),
        ("empty.onnx", "auto", r"inference\.model: cannot read .*empty\.onnx"),
        ("noise.onnx", "auto", r"inference\.model: cannot read .*noise\.onnx"),
        ("empty.pt", "cpu", r"inference\.model: .*empty\.pt is not an Ultralytics checkpoint"),
        ("noise.pt", "cpu", r"inference\.model: .*noise\.pt is not an Ultralytics checkpoint"),
        ("weights.pt", "cpu", r"inference\.model: .*weights\.pt is not an Ultralytics checkpoint"),
    ],
)
def test_a_model_that_cannot_be_used_is_named(tmp_path: Path, path: str, device: str, message: str) -> None:
    for suffix in ("onnx", "pt"):
        (tmp_path / f"empty.{suffix}").touch()
        (tmp_path / f"noise.{suffix}").write_bytes(b"\x80\x05 no model at all" * 20)
    torch.save({"layer": torch.zeros(3)}, tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match=message) as caught:
        open_engine(tmp_path / path, Placement(device), PLAIN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("suffix", "device"), [(".onnx", "TPU"), (".pt", "warp"), (".pt", "cuda:99")])
def test_a_device_that_is_not_there_is_named(starter: Path, suffix: str, device: str) -> None:
    with pytest.raises(ConfigError, match=rf"inference\.device: .*{device}") as caught:
        open_engine(starter.with_suffix(suffix), Placement(device), PLAIN)
    assert "\n" not in str(caught.value)


def test_a_network_that_is_no_detector_of_its_classes_is_refused(starter: Path, tmp_path: Path) -> None:
    odd = renamed_classes(starter, tmp_path / "odd.onnx", "{0: 'short', 1: 'spur'}")
    engine = open_engine(odd, Placement(), PLAIN)
    with pytest.raises(ConfigError, match=r"inference\.model: odd gives .* a detector gives 1 x 6 x anchors"):
        engine.warm_up(FRAMES, most=1)


def test_a_model_without_class_names_is_refused(starter: Path, tmp_path: Path) -> None:
    nameless = renamed_classes(starter, tmp_path / "nameless.onnx", None)
    with pytest.raises(ConfigError, match=r"inference\.model: .*nameless\.onnx does not name its classes"):
        open_engine(nameless, Placement(), PLAIN)


def test_a_model_of_other_classes_ends_the_service_with_one_line_that_names_them(
    starter: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    names = ("cat", "dog", "short", "spur", "spurious_copper", "pin_hole")
    foreign = renamed_classes(starter, tmp_path / "foreign.onnx", str(dict(enumerate(names))))
    done = start_with(foreign, tmp_path, pytestconfig.rootpath)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("inference_subscriber: inference.model: ")
    assert line.endswith("lacks: cat, dog")


def test_a_missing_model_ends_the_service_with_one_line(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    done = start_with(tmp_path / "missing.onnx", tmp_path, pytestconfig.rootpath)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "inference.model: cannot read" in done.stderr


def test_openvino_is_enough_for_onnx(starter: Path, pytestconfig: pytest.Config) -> None:
    program = (
        "import sys; from pathlib import Path; from inference_subscriber.engines import open_engine;"
        "from inference_subscriber.engines.base import DetectOptions, Placement;"
        f"open_engine(Path({str(starter)!r}), Placement(), DetectOptions()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=pytestconfig.rootpath, timeout=30)


def renamed_classes(source: Path, target: Path, names: str | None) -> Path:
    """A copy of an ONNX model that says it knows other classes, or none."""
    shutil.copy(source, target)
    model = onnx.load(target)
    kept = [(each.key, each.value) for each in model.metadata_props if each.key != "names"]
    del model.metadata_props[:]
    for key, value in [*kept, *([("names", names)] if names else [])]:
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, target)
    return target


def start_with(model: Path, folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inference_subscriber", "--model", str(model), "--log.directory", str(folder)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=40)
