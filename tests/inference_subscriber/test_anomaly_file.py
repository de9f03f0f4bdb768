"""The file of good boards: written and read, and refused where it does not belong."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference_subscriber.anomaly.choosing import Wanted, choose, without_maps
from inference_subscriber.anomaly.file import load, save
from inference_subscriber.anomaly.memory import Memory
from inference_subscriber.anomaly.model import AnomalyModel, Calibration, Subject
from inference_subscriber.anomaly.padim import fit_gaussians, make_projection
from inference_subscriber.errors import AnomalyRefused
from pcb_bus.contract.messages import ModelRef

DETECTOR = ModelRef(name="starter", sha256="a" * 64)
SUBJECT = Subject("controller", "left", DETECTOR, 64, 48, 640)
WANTED = Wanted(None, DETECTOR, 640)
FEATURES = np.random.default_rng(2).normal(size=(6, 6, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> AnomalyModel:
    samples = np.random.default_rng(1).normal(size=(8, 4, 48)).astype(np.float32)
    scorer = fit_gaussians(make_projection(4, 6), samples, (6, 8))
    reference = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
    return AnomalyModel(SUBJECT, Calibration(2.5, 0.005, 8, (1.0, 2.0)), scorer, 8, reference)


@pytest.fixture
def path(tmp_path: Path, model: AnomalyModel) -> Path:
    save(model, tmp_path / "folder" / "left.npz")
    return tmp_path / "folder" / "left.npz"


def test_what_is_read_scores_as_what_was_written(path: Path, model: AnomalyModel) -> None:
    found = load(path)
    assert (found.subject, found.calibration, found.stride) == (model.subject, model.calibration, model.stride)
    assert found.reference is not None
    np.testing.assert_array_equal(found.reference, model.reference)
    np.testing.assert_array_equal(found.scorer.distances(FEATURES), model.scorer.distances(FEATURES))
    assert [each.name for each in path.parent.iterdir()] == ["left.npz"]


def test_a_memory_is_written_too(tmp_path: Path, model: AnomalyModel) -> None:
    memory = Memory(make_projection(4, 6), np.ones((5, 4), np.float32), 0.7)
    save(replace(model, scorer=memory, stride=16, reference=None), tmp_path / "left.npz")
    found = load(tmp_path / "left.npz")
    assert found.reference is None
    np.testing.assert_array_equal(found.scorer.distances(FEATURES), memory.distances(FEATURES))


def test_the_score_is_half_at_the_threshold(model: AnomalyModel) -> None:
    distances = model.scorer.distances(FEATURES)
    at = replace(model, calibration=replace(model.calibration, threshold=float(distances.max())))
    assert at.compare(FEATURES, None).score == pytest.approx(0.5)
    assert at.compare(FEATURES, None).heat.max() == 128


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (replace(SUBJECT, side="right"), "is of the side right"),
        (replace(SUBJECT, product="power-supply"), "of the product power-supply, not controller"),
        (replace(SUBJECT, model=ModelRef(name="other", sha256="c" * 64)), r"with the detector other \(cccccccccccc\)"),
        (replace(SUBJECT, max_input=320), "at inference.max_input 320, not 640"),
    ],
)
def test_a_file_for_something_else_is_refused(
    tmp_path: Path, model: AnomalyModel, subject: Subject, reason: str
) -> None:
    save(replace(model, subject=subject), tmp_path / "left.npz")
    choice = choose({"left": tmp_path / "left.npz"}, replace(WANTED, product="controller"))
    assert not choice.models
    assert choice.refused["left"].startswith(str(tmp_path / "left.npz"))
    assert re.search(reason, choice.refused["left"])


def test_two_sides_are_of_one_product(tmp_path: Path, path: Path, model: AnomalyModel) -> None:
    save(replace(model, subject=replace(SUBJECT, product="other", side="right")), tmp_path / "right.npz")
    choice = choose({"left": path, "right": tmp_path / "right.npz"}, WANTED)
    assert set(choice.models) == {"left"}
    assert "of the product other, not controller" in choice.refused["right"]


def test_a_detector_without_feature_maps_leaves_nothing(path: Path) -> None:
    choice = choose({"left": path}, WANTED)
    assert choice.strides == (8,)
    assert without_maps(choice, (8,)).models
    assert "no feature maps of stride 8" in without_maps(choice, ()).refused["left"]


def test_files_that_are_none_are_refused(tmp_path: Path, path: Path) -> None:
    cut, text, array = tmp_path / "cut.npz", tmp_path / "text.npz", tmp_path / "array.npz"
    cut.write_bytes(path.read_bytes()[:500])
    text.write_text("nothing")
    with array.open("wb") as file:
        np.save(file, np.zeros(3))
    np.savez(tmp_path / "objects.npz", format=np.array([{}], object))
    for each in (cut, text, array, tmp_path / "objects.npz", tmp_path / "missing.npz"):
        with pytest.raises(AnomalyRefused, match=str(each)):
            load(each)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "left.npz", format=2)
    with pytest.raises(AnomalyRefused, match="has format 2, this version reads 1"):
        load(tmp_path / "left.npz")


def test_statistics_that_do_not_fit_together_are_refused(path: Path) -> None:
    with np.load(path) as arrays:
        changed = {**arrays, "mean": arrays["mean"][:, :-1]}
    np.savez(path, **changed)
    with pytest.raises(AnomalyRefused, match="broken"):
        load(path)
