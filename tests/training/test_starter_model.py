"""The detector that the product ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.bare_board import DEFECT_CLASSES, draw_board
from training.datasets.layouts.deeppcb import CLASS_NAMES
from training.evaluation.card import read_card, render, sha256
from training.evaluation.decode import DecodeSettings, decode
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
        assert file == {"bytes": (STARTER / name).stat().st_size, "sha256": sha256(STARTER / name)}
    assert (STARTER / "README.md").read_text() == render(card)


def test_it_knows_the_six_classes_in_their_order(network: OnnxNetwork) -> None:
    assert network.class_names == CLASS_NAMES == tuple(read_card(STARTER)["classes"])


@pytest.mark.parametrize("size", [(640, 480), (640, 640)])
def test_both_files_give_the_same_boxes(network: OnnxNetwork, size: tuple[int, int]) -> None:
    image = draw_board(2, *size, DEFECT_CLASSES).image[:, :, 0]
    settings = DecodeSettings(confidence=0.25)
    ours = decode(network(image), settings)
    reference = decode(torch_network(load_weights(STARTER / "boardline-starter.pt"))(image), settings)
    assert ours.classes.tolist() == reference.classes.tolist()
    assert np.abs(ours.boxes - reference.boxes).max() < 1
    assert np.abs(ours.confidences - reference.confidences).max() < 0.02
