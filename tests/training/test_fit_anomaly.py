"""From a folder of good boards to a file that finds an oddity, and folders that cannot be used."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.block_colours import BlockColours
from support.good_boards import board, good_boards

from inference_subscriber.anomaly.file import load
from inference_subscriber.anomaly.model import Subject
from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import DetectOptions, Image, Placement
from inference_subscriber.inspecting import Inspector
from training.__main__ import main
from training.anomaly.fitting import FitSettings, fit
from training.anomaly.reference import register
from training.errors import TrainingError
from training.export import export_onnx

MakeFolder = Callable[[Sequence[Image]], Path]


@pytest.fixture(scope="module")
def good() -> list[Image]:
    return [smaller(image) for image in good_boards()]


def smaller(image: Image) -> Image:
    """Half as wide and high: a quarter of the work."""
    return np.asarray(cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def exported(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("model") / "network.onnx"
    export_onnx(pytestconfig.rootpath / "models" / "starter" / "boardline-starter.pt", target)
    return target


@pytest.fixture
def folder(tmp_path: Path) -> MakeFolder:
    def make(images: Sequence[Image]) -> Path:
        target = tmp_path / "good"
        target.mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(str(target / f"{number:02}.png"), image)
        return target

    return make


def test_a_folder_becomes_a_file_that_finds_a_screw(
    folder: MakeFolder, good: list[Image], exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "left.npz"
    command = ["fit-anomaly", "--good", str(folder(good)), "--model", str(exported), "--out", str(target)]
    assert main([*command, "--product", "demo"]) == 0
    assert "20 good boards" in capsys.readouterr().out
    model = load(target)
    assert (model.subject.product, model.subject.side, model.calibration.good_boards) == ("demo", "left", 20)
    assert len(model.calibration.held_out) == 20
    assert sorted(model.calibration.held_out)[-2] < model.calibration.threshold
    inspector = Inspector(open_engine(exported, Placement(), DetectOptions(features=(8,))), {"left": model})
    scores = [
        inspector.inspect([("left", smaller(board(900, odd).image))])[0].anomaly_score for odd in ((), ("screw",))
    ]
    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[0] < 0.5 < scores[1]


def refusal(folder: Path, exported: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["fit-anomaly", "--good", str(folder), "--model", str(exported)]) == 2
    return capsys.readouterr().err


def test_too_few_say_how_many_are_needed(
    folder: MakeFolder, good: list[Image], exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "19 pictures: at least 20 good boards are needed" in refusal(folder(good[:19]), exported, capsys)


def test_pictures_of_other_sizes_and_none_are_each_named(
    folder: MakeFolder, good: list[Image], exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder([*good[:18], good[18][:200], good[19]])
    (path / "19.png").write_text("no picture")
    told = refusal(path, exported, capsys)
    assert f"{path / '18.png'}: 320 x 200 pixels, most have 320 x 240" in told
    assert f"{path / '19.png'}: not a picture" in told
    assert f"2 pictures of {path} cannot be used" in told


def test_copies_of_one_picture_are_each_named(
    folder: MakeFolder, good: list[Image], exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder([*good[:18], good[0], good[0]])
    told = refusal(path, exported, capsys)
    assert f"2 pictures of {path} cannot be used" in told
    assert f"{path / '18.png'}: the same picture as 00.png" in told
    assert f"{path / '19.png'}: the same picture as 00.png" in told


def test_other_boards_are_each_named(
    folder: MakeFolder, good: list[Image], exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, good[0].shape, np.uint8)
    upside_down = np.ascontiguousarray(good[1][::-1, ::-1])
    path = folder([noise, *good, upside_down])
    told = refusal(path, exported, capsys)
    for name in ("00.png", "21.png"):
        assert f"{path / name}: the board of the others cannot be found in it" in told
    assert "01.png" not in told
    assert f"2 pictures of {path} cannot be used" in told
    assert "at least 20 aligned good boards are needed" in told


def test_an_input_without_pixels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["fit-anomaly", "--good", str(tmp_path), "--max-input", "0"])
    assert "argument --max-input: 32 to 8192" in capsys.readouterr().err


def test_no_folder_is_told_in_one_line(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path / "nowhere", exported, capsys) == f"training: no folder {tmp_path / 'nowhere'}\n"


def test_a_detector_without_feature_maps_is_refused(good: list[Image]) -> None:
    engine = BlockColours(strides=())
    with pytest.raises(TrainingError, match="no feature maps of stride 8: export it again"):
        fit(good, engine, Subject("demo", "left", engine.model, 320, 240, 640), FitSettings())


def test_the_reference_lies_as_the_boards_do_on_average(good: list[Image]) -> None:
    aside = [np.ascontiguousarray(np.roll(good[0], (dy, dx), (0, 1))) for dx, dy in ((0, 0), (8, 0), (0, 8), (8, 8))]
    registered = register(aside)
    middle = np.roll(good[0], (4, 4), (0, 1))
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(registered.reference[inner].astype(int) - middle[inner]).mean() < 3
    assert registered.unaligned == []


def test_fitting_needs_no_pytorch() -> None:
    code = "import sys; import training.__main__, training.anomaly.fitting; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
