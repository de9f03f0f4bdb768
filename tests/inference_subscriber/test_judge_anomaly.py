"""What an anomaly score does to a verdict, and what hides it."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_subscriber.board import Board, BoardKey, Inspected, Sighting
from inference_subscriber.boxes import boxes_of
from inference_subscriber.engines.base import Anomaly, Detection, Findings
from inference_subscriber.judge import Judge, Judged
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Box, Frame, ModelRef, Verdict
from pcb_bus.contract.taxonomy import UNKNOWN_ANOMALY, CategoryRule, Severity, Taxonomy

SIZE = (640, 480)
GRID = (60, 80)  # cells of 8 pixels
AT = 1_790_000_000_000_000_000
Spot = tuple[int, int, int, int]
"""x1, y1, x2, y2 in cells."""
COUNTED: dict[str, Severity] = {"short": "solder", "lost": "component", "pad": "scrap"}
MINOR: dict[str, Severity] = {"bite": "minor", "spur": "minor"}
CLASSES = COUNTED | MINOR


def taxonomy_with(unknown: Severity = "component") -> Taxonomy:
    categories = {name: CategoryRule(label=name) for name in ("scrap", "solder", "component", "normal", "unjudged")}
    return Taxonomy.model_validate({"classes": CLASSES, "unknown_anomaly": unknown, "categories": categories})


def anomaly(spots: Mapping[Spot, int]) -> Anomaly:
    """Heat 20 but for the spots. Score and box are those of the hottest."""
    heat = np.full(GRID, 20, np.uint8)
    for (x1, y1, x2, y2), value in spots.items():
        heat[y1:y2, x1:x2] = value
    hottest = max(spots, key=lambda spot: spots[spot])
    return Anomaly(spots[hottest] / 255, pixels(hottest), heat)


def pixels(spot: Spot) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (8.0 * each for each in spot)
    return x1, y1, x2, y2


def box_around(spot: Spot, class_name: str) -> Detection:
    return Detection(*pixels(spot), confidence=0.8, class_name=class_name)


def boxes(findings: Findings, threshold: float = 0.5, unknown: Severity = "component") -> list[Box]:
    return list(boxes_of(findings, SIZE, taxonomy_with(unknown), threshold))


def corners(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2


def judge(unknown: Severity = "component", threshold: float = 0.5) -> Judge:
    model = ModelRef(name="m", sha256="0" * 64)
    return Judge("pcb", ("left", "right"), taxonomy_with(unknown), model, 1, threshold)


def verdict_on(judge: Judge, **sides: Findings) -> Verdict:
    board = Board(BoardKey.of("b", AT), 0, None, 0, AT)
    for side, findings in sides.items():
        frame = Frame(
            side=side,
            board_id="b",
            triggered_at=AT,
            frame_id=side,
            captured_at=AT,
            width=SIZE[0],
            height=SIZE[1],
            jpeg=b"\xff\xd8",
        )
        board.sightings[side] = Sighting(frame, 0, Inspected(findings, 20.0))
    return judge.verdict(board, Judged(AT, 20.0))


ODD = (40, 30, 44, 33)
ELSEWHERE = (5, 5, 8, 8)


def test_an_oddity_is_a_box_around_the_hottest_region_with_the_score_as_confidence() -> None:
    verdict = verdict_on(judge(), left=Findings((), anomaly({ODD: 200})), right=Findings((), anomaly({ODD: 60})))
    left, right = verdict.sides["left"], verdict.sides["right"]
    assert left is not None
    assert right is not None
    (box,) = left.boxes
    assert (box.class_name, box.confidence, corners(box)) == (UNKNOWN_ANOMALY, 200 / 255, pixels(ODD))
    assert (left.category, left.confidence, left.anomaly_score) == ("component", 200 / 255, 200 / 255)
    assert (right.category, right.boxes, right.anomaly_score) == ("normal", (), 60 / 255)
    assert (verdict.category, verdict.confidence) == ("component", 200 / 255)
    assert decode_json(Verdict, encode_json(verdict)).sides == verdict.sides


def test_where_nobody_compared_there_is_no_score() -> None:
    left = verdict_on(judge(), left=Findings(), right=Findings()).sides["left"]
    assert left is not None
    assert left.anomaly_score is None


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_at_the_threshold_is_not_over_it(threshold: float) -> None:
    heat = np.zeros(GRID, np.uint8)
    assert boxes(Findings((), Anomaly(threshold, pixels(ODD), heat)), threshold) == []
    if threshold < 1:
        assert boxes(Findings((), Anomaly(threshold + 1e-6, pixels(ODD), heat)), threshold)


@pytest.mark.parametrize("class_name", COUNTED)
@pytest.mark.parametrize("unknown", ["minor", "component", "solder", "scrap"])
def test_a_defect_that_counts_decides_alone(class_name: str, unknown: Severity) -> None:
    found = boxes(Findings((box_around(ELSEWHERE, class_name),), anomaly({ODD: 250})), unknown=unknown)
    assert [box.class_name for box in found] == [class_name]


def test_a_minor_defect_elsewhere_hides_no_oddity() -> None:
    found = boxes(Findings((box_around(ELSEWHERE, "bite"),), anomaly({ODD: 200})))
    assert [box.class_name for box in found] == ["bite", UNKNOWN_ANOMALY]


def test_the_heat_of_a_minor_defect_is_no_oddity() -> None:
    around = (ODD[0] - 2, ODD[1] - 2, ODD[2] + 2, ODD[3] + 2)
    found = boxes(Findings((box_around(ODD, "bite"),), anomaly({around: 200})))
    assert [box.class_name for box in found] == ["bite"]


def test_an_oddity_beside_the_hotter_heat_of_a_minor_defect_is_found() -> None:
    found = boxes(Findings((box_around(ODD, "bite"),), anomaly({ELSEWHERE: 180, (70, 50, 71, 51): 150, ODD: 240})))
    assert [box.class_name for box in found] == ["bite", UNKNOWN_ANOMALY]
    assert corners(found[1]) == pixels(ELSEWHERE), "the hottest of what is left"
    assert found[1].confidence == 180 / 256


def test_what_reaches_far_beyond_a_minor_defect_is_an_oddity() -> None:
    scratch = (10, 30, 70, 32)
    found = boxes(Findings((box_around((40, 29, 43, 32), "spur"),), anomaly({scratch: 220})))
    assert [box.class_name for box in found] == ["spur", UNKNOWN_ANOMALY]


def test_a_score_that_no_single_place_explains_is_told_by_its_box() -> None:
    cold = Anomaly(0.7, pixels(ODD), np.full(GRID, 100, np.uint8))
    assert [box.class_name for box in boxes(Findings((), cold))] == [UNKNOWN_ANOMALY]
    assert [box.class_name for box in boxes(Findings((box_around(ELSEWHERE, "bite"),), cold))] == [
        "bite",
        UNKNOWN_ANOMALY,
    ]
    assert [box.class_name for box in boxes(Findings((box_around(ODD, "bite"),), cold))] == ["bite"]


@pytest.mark.parametrize("point", [(80.0, 80.0, 80.0, 80.0), (0.0, 0.0, 0.0, 0.0), (640.0, 480.0, 640.0, 480.0)])
def test_a_box_without_area_hides_nothing(point: tuple[float, float, float, float]) -> None:
    odd = Anomaly(0.7, point, np.zeros(GRID, np.uint8))
    for minor in ((), (box_around(ODD, "bite"),)):
        assert boxes(Findings(minor, odd))[-1].class_name == UNKNOWN_ANOMALY


def test_a_half_seen_board_with_an_oddity_is_defective() -> None:
    verdict = verdict_on(judge(), left=Findings((), anomaly({ODD: 200})))
    assert (verdict.category, verdict.status) == ("component", "incomplete")


spots = st.builds(
    lambda x, y, w, h: (x, y, min(x + w, GRID[1]), min(y + h, GRID[0])),
    *(st.integers(0, GRID[1] - 1), st.integers(0, GRID[0] - 1), st.integers(1, 12), st.integers(1, 12)),
)
anomalies = st.dictionaries(spots, st.integers(21, 255), min_size=1, max_size=4).map(anomaly)


def detections(classes: list[str]) -> st.SearchStrategy[tuple[Detection, ...]]:
    return st.lists(st.builds(box_around, spots, st.sampled_from(classes)), max_size=4).map(tuple)


findings_of = st.builds(Findings, detections([*CLASSES]), st.none() | anomalies)
thresholds = st.floats(0, 1)


@given(findings_of, findings_of, thresholds)
def test_the_score_on_the_wire_is_the_one_that_was_found(left: Findings, right: Findings, threshold: float) -> None:
    verdict = decode_json(Verdict, encode_json(verdict_on(judge(threshold=threshold), left=left, right=right)))
    for side, found in (("left", left), ("right", right)):
        result = verdict.sides[side]
        assert result is not None
        assert result.anomaly_score == found.anomaly_score


@given(anomalies, findings_of, st.sampled_from(["component", "solder", "scrap"]))
def test_a_board_with_nothing_but_an_oddity_is_never_normal(odd: Anomaly, other: Findings, unknown: Severity) -> None:
    verdict = verdict_on(judge(unknown), left=Findings((), odd), right=other)
    assert (verdict.category != "normal") or odd.score <= 0.5


@given(anomalies, detections([*MINOR]))
def test_minor_defects_hide_only_what_lies_on_them(odd: Anomaly, minor: tuple[Detection, ...]) -> None:
    """Normal only if no hot cell is further from the boxes of minor defects than the halo and a cell."""
    found = boxes(Findings(minor, odd))
    if odd.score <= 0.5 or any(box.class_name == UNKNOWN_ANOMALY for box in found):
        return
    reach = 0.03 * SIZE[0] + 8
    for row, column in zip(*np.nonzero(odd.heat > 128), strict=True):
        x, y = 8 * column + 4, 8 * row + 4
        assert any(each.x1 - reach < x < each.x2 + reach and each.y1 - reach < y < each.y2 + reach for each in minor)


@given(findings_of, thresholds)
def test_an_oddity_adds_one_box_at_most_and_takes_none_away(findings: Findings, threshold: float) -> None:
    with_it, without = boxes(findings, threshold), boxes(Findings(findings.detections), threshold)
    assert with_it[: len(without)] == without
    added = with_it[len(without) :]
    assert [box.class_name for box in added] in ([], [UNKNOWN_ANOMALY])
    for box in added:
        assert 0 <= box.x1 < box.x2 <= SIZE[0]
        assert 0 <= box.y1 < box.y2 <= SIZE[1]
        assert findings.anomaly_score is not None
        assert findings.anomaly_score > threshold


@given(anomalies, thresholds, thresholds)
def test_a_lower_threshold_lets_nothing_more_pass(odd: Anomaly, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert len(boxes(Findings((), odd), low)) >= len(boxes(Findings((), odd), high))


@given(anomalies, detections([*MINOR]))
def test_a_taxonomy_that_calls_oddities_minor_keeps_the_board_normal(
    odd: Anomaly, minor: tuple[Detection, ...]
) -> None:
    findings = Findings(minor, odd)
    assert verdict_on(judge("minor"), left=findings, right=findings).category == "normal"
