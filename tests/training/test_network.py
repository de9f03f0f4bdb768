"""The project's own architecture: what it detects on, and what it takes over from the usual one."""

from __future__ import annotations

from pathlib import Path

from training.loop import TrainSettings
from training.network import build_network, save_weights, transfer

NAMES = ("short", "spur")


def test_the_usual_network_detects_small_objects_only() -> None:
    network = build_network(TrainSettings().architecture, NAMES)
    assert network.stride.tolist() == [8, 16]
    assert network.names == dict(enumerate(NAMES))


def test_it_takes_over_the_backbone_of_yolov8n(tmp_path: Path) -> None:
    usual, own = build_network("yolov8n.yaml", NAMES), build_network("boardline-n.yaml", NAMES)
    save_weights(usual, tmp_path / "usual.pt", 640)
    taken, of = transfer(own, tmp_path / "usual.pt")
    assert taken > of * 2 / 3
    before, after = usual.state_dict(), own.state_dict()
    kernel = "model.15.cv1.conv.weight"
    assert after[kernel].allclose(before[kernel], atol=1e-3)
