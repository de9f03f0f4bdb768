"""What the line sees of a board that it knows: registered, detected, compared."""

import numpy as np
import pytest
from support.block_colours import BlockColours
from support.good_boards import board, good_boards, learn

from inference_subscriber.anomaly.model import AnomalyModel
from inference_subscriber.engines.base import Image, Thresholds
from inference_subscriber.inspecting import Inspector
from inference_subscriber.witness import Witness


@pytest.fixture(scope="module")
def engine() -> BlockColours:
    return BlockColours()


@pytest.fixture(scope="module")
def good() -> list[Image]:
    return good_boards(24)


@pytest.fixture(scope="module")
def model(good: list[Image], engine: BlockColours) -> AnomalyModel:
    return learn(good, engine)


@pytest.fixture(scope="module")
def inspector(engine: BlockColours, model: AnomalyModel) -> Inspector:
    return Inspector(engine, {"left": model})


def test_good_boards_lie_below_the_threshold(inspector: Inspector) -> None:
    scores = [inspector.inspect([("left", board(seed).image)])[0].anomaly_score for seed in range(500, 510)]
    assert all(score is not None and score < 0.5 for score in scores)


def test_a_foreign_screw_is_over_it_and_in_the_box(inspector: Inspector, model: AnomalyModel) -> None:
    odd = board(600, ("screw",))
    anomaly = inspector.inspect([("left", odd.image)])[0].anomaly
    assert anomaly is not None
    assert anomaly.score > 0.5
    truth = odd.oddities[0]
    x, y = (truth.x1 + truth.x2) / 2, (truth.y1 + truth.y2) / 2
    assert anomaly.box[0] <= x <= anomaly.box[2]
    assert anomaly.box[1] <= y <= anomaly.box[3]
    assert anomaly.heat.shape == (60, 80)
    row, column = np.unravel_index(anomaly.heat.argmax(), anomaly.heat.shape)
    assert np.hypot(column * 8 + 4 - x, row * 8 + 4 - y) < 30
    assert anomaly.heat.max() == pytest.approx(anomaly.score * 256, abs=8)


def test_boxes_come_back_to_the_frame(inspector: Inspector, engine: BlockColours, good: list[Image]) -> None:
    """The detector sees its box in the middle of the registered board; on a board that lies aside, it lies aside."""
    frame = good[0]
    here = inspector.inspect([("left", frame)])[0].detections[0]
    aside = inspector.inspect([("left", np.roll(frame, (6, -9), (0, 1)))])[0].detections[0]
    assert (aside.x1 - here.x1, aside.y1 - here.y1) == pytest.approx((-9, 6), abs=1)
    assert (aside.x2 - here.x2, aside.y2 - here.y2) == pytest.approx((-9, 6), abs=1)


def test_another_board_has_the_highest_score_and_is_detected_as_seen(inspector: Inspector) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    (found,) = inspector.inspect([("left", noise)])
    assert found.anomaly is not None
    assert (found.anomaly.score, found.anomaly.box) == (1.0, (0, 0, 640, 480))
    assert [(each.x1, each.y1) for each in found.detections] == [(310, 230)]


def test_sides_without_good_boards_have_no_score(inspector: Inspector, good: list[Image]) -> None:
    known, unknown = inspector.inspect([("left", good[0]), ("right", good[0])])
    assert known.anomaly is not None
    assert unknown.anomaly is None
    assert len(unknown.detections) == 1


def test_frames_of_another_size_are_detected_and_told_of_until_they_fit(
    engine: BlockColours, model: AnomalyModel, good: list[Image]
) -> None:
    told: list[tuple[str, str]] = []
    inspector = Inspector(engine, {"left": model}, lambda side, reason: told.append((side, reason)))
    (found,) = inspector.inspect([("left", good[0][:320, :320])])
    assert found.anomaly is None
    assert len(found.detections) == 1
    assert told == [("left", "frames of 320 x 320, but good boards of 640 x 480")]
    inspector.inspect([("left", good[0])])
    assert told[-1] == ("left", "")


def test_two_boards_in_one_batch_score_as_alone(inspector: Inspector) -> None:
    frames = [("left", board(700).image), ("left", board(701, ("screw",)).image)]
    together = [found.anomaly_score for found in inspector.inspect(frames)]
    alone = [inspector.inspect([frame])[0].anomaly_score for frame in frames]
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_memory_takes_boards_wherever_they_lie(engine: BlockColours, good: list[Image]) -> None:
    inspector = Inspector(engine, {"left": learn(good, engine, "memory")})
    moved = np.ascontiguousarray(np.roll(board(500).image, (32, 48), (0, 1)))
    scores = [inspector.inspect([("left", image)])[0].anomaly_score for image in (moved, board(600, ("screw",)).image)]
    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[0] < scores[1]


def test_a_box_on_a_good_board_does_not_stand_before_the_witness(
    engine: BlockColours, model: AnomalyModel, good: list[Image]
) -> None:
    inspector = Inspector(engine, {"left": model}, witness=Witness(cold=0.45))
    known, unknown = inspector.inspect([("left", good[0]), ("right", good[0])])
    assert not known.detections
    assert len(unknown.detections) == 1


def test_a_doubtful_box_on_a_foreign_thing_counts_before_the_witness(model: AnomalyModel, good: list[Image]) -> None:
    frame = good[0].copy()
    frame[225:255, 305:335] = (20, 20, 250)
    engine = BlockColours()
    engine.use(Thresholds(0.95))
    with_witness, without = (
        Inspector(engine, {"left": model}, witness=witness).inspect([("left", frame)])[0]
        for witness in (Witness(), None)
    )
    assert [each.class_name for each in with_witness.detections] == ["short"]
    assert not without.detections


def test_a_score_that_knows_no_places_says_nothing_of_boxes(engine: BlockColours, good: list[Image]) -> None:
    inspector = Inspector(engine, {"left": learn(good, engine, "memory")}, witness=Witness())
    assert len(inspector.inspect([("left", good[0])])[0].detections) == 1
