"""The detector that the product ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference_subscriber.engines import digest, open_engine
from inference_subscriber.engines.base import DetectOptions, Placement
from simulator.bare_board import DEFECT_CLASSES, draw_board
from training.evaluation.card import CURVES, read_card
from training.evaluation.card_text import render
from training.evaluation.curves import draw
from training.evaluation.decode import DecodeSettings, decode
from training.evaluation.goals import figure_rows
from training.evaluation.result import Result
from training.network import load_weights
from training.onnx_network import OnnxNetwork
from training.train import torch_network

STARTER = Path(__file__).parents[2] / "models" / "starter"


@pytest.fixture(scope="module")
def network() -> OnnxNetwork:
    return OnnxNetwork(STARTER / "boardline-starter.onnx")


def test_the_card_is_that_of_the_files_beside_it() -> None:
    card = read_card(STARTER)
    for name, file in card["files"].items():
        assert file == {"bytes": (STARTER / name).stat().st_size, "sha256": digest(STARTER / name)}
    assert (STARTER / "README.md").read_text() == render(card)
    assert (STARTER / CURVES).read_text() == draw(card["curves"])


def test_all_that_the_card_claims_was_measured_on_these_weights() -> None:
    card = read_card(STARTER)
    sha256 = card["files"]["boardline-starter.onnx"]["sha256"]
    assert card["calibration"]["sha256"] == sha256
    assert {result["model_sha256"] for result in card["results"].values()} == {sha256}
    assert card["figures"] == figure_rows([Result(**result) for result in card["results"].values()])


def test_each_class_has_a_threshold_of_its_own(network: OnnxNetwork) -> None:
    engine = open_engine(STARTER / "boardline-starter.onnx", Placement("cpu", threads=1), DetectOptions())
    assert tuple(engine.calibration.thresholds) == network.class_names


def test_it_knows_the_classes_of_the_card_in_their_order(network: OnnxNetwork) -> None:
    assert network.class_names == tuple(read_card(STARTER)["classes"])


@pytest.mark.parametrize("size", [(640, 480), (640, 640)])
def test_both_files_give_the_same_boxes(network: OnnxNetwork, size: tuple[int, int]) -> None:
    image = draw_board(2, *size, DEFECT_CLASSES).image[:, :, 0]
    settings = DecodeSettings(confidence=0.25)
    ours = decode(network(image), settings)
    reference = decode(torch_network(load_weights(STARTER / "boardline-starter.pt"))(image), settings)
    assert ours.classes.tolist() == reference.classes.tolist()
    assert np.abs(ours.boxes - reference.boxes).max() < 1
    assert np.abs(ours.confidences - reference.confidences).max() < 0.02
