"""Feature maps in exported files, and the same ones from every engine."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from inference_subscriber.anomaly.padim import make_projection, project
from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import DetectOptions, Image, Placement
from inference_subscriber.engines.features import STRIDES
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.engines.onnxruntime_engine import OnnxRuntimeEngine
from simulator.bare_board import draw_board
from training.export import export_onnx

OPTIONS = DetectOptions(features=STRIDES)
EXACT = Placement("cpu", exact=True)


@pytest.fixture(scope="module")
def weights(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Away from their card, whose thresholds hold for these weights alone and not for a new export."""
    starter = pytestconfig.rootpath / "models" / "starter" / "boardline-starter.pt"
    return Path(shutil.copyfile(starter, tmp_path_factory.mktemp("weights") / "network.pt"))


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("model") / "network.onnx"
    export_onnx(weights, target)
    return target


@pytest.fixture(scope="module")
def pytorch(weights: Path) -> NetworkEngine:
    return open_engine(weights, EXACT, OPTIONS)


@pytest.fixture(scope="module")
def image() -> Image:
    return draw_board(7, 640, 480).image


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def engine(request: pytest.FixtureRequest, exported: Path) -> NetworkEngine:
    if request.param == "openvino":
        return open_engine(exported, EXACT, OPTIONS)
    return OnnxRuntimeEngine(exported, open_engine(exported, EXACT, OPTIONS).model, EXACT, OPTIONS)


def test_every_engine_gives_the_features_of_the_checkpoint(
    engine: NetworkEngine, pytorch: NetworkEngine, image: Image
) -> None:
    assert engine.strides == pytorch.strides == STRIDES
    found, expected = engine.look([image])[0], pytorch.look([image])[0]
    for stride in STRIDES:
        assert expected.features[stride].shape[1:] == (480 // stride, 640 // stride)
        np.testing.assert_allclose(found.features[stride], expected.features[stride], atol=0.05)
    assert len(found.findings.detections) == len(expected.findings.detections)


def test_images_of_two_sizes_keep_their_own_features(engine: NetworkEngine, image: Image) -> None:
    together = engine.look([image, image[:320, :320], image])
    alone = np.array(engine.look([image])[0].features[8])
    assert together[1].features[8].shape[1:] == (40, 40)
    for each in (together[0], together[2]):
        np.testing.assert_allclose(each.features[8], alone, atol=1e-3)


def test_a_place_beyond_the_image_is_left_out(engine: NetworkEngine, image: Image) -> None:
    (seen,) = engine.look([image[:200, :250]])
    assert seen.features[8].shape[1:] == (25, 32)


def test_what_nobody_asks_for_is_not_handed_over(exported: Path, image: Image) -> None:
    engine = open_engine(exported, EXACT, DetectOptions(features=(16,)))
    assert set(engine.look([image])[0].features) == {16}
    assert not open_engine(exported, EXACT, DetectOptions()).look([image])[0].features


def test_a_file_without_feature_maps_still_detects(exported: Path, image: Image, tmp_path: Path) -> None:
    model = onnx.load(str(exported))
    del model.graph.output[1:]
    bare = tmp_path / "bare.onnx"
    onnx.save(model, str(bare))
    engine = open_engine(bare, EXACT, OPTIONS)
    assert engine.strides == ()
    whole = open_engine(exported, EXACT, OPTIONS)
    assert engine.detect([image]) == whole.detect([image])


def test_openvino_hands_over_maps_that_it_has_reduced(exported: Path, image: Image) -> None:
    raw = open_engine(exported, EXACT, DetectOptions(features=STRIDES)).look([image])[0].features
    projections = {8: make_projection(3, len(raw[8]))}
    options = DetectOptions(features=STRIDES, projections=projections)
    reduced = open_engine(exported, EXACT, options).look([image])[0].features
    expected = project(projections[8], raw[8])
    assert reduced[8].shape == (3, *raw[8].shape[1:])
    np.testing.assert_allclose(project(projections[8], reduced[8]), expected, atol=1e-3)
    np.testing.assert_allclose(reduced[16], raw[16], atol=1e-3)


def test_a_map_of_other_channels_than_the_matrix_stays(exported: Path, image: Image) -> None:
    options = DetectOptions(features=(8,), projections={8: make_projection(3, 5)})
    assert len(open_engine(exported, EXACT, options).look([image])[0].features[8]) > 3
