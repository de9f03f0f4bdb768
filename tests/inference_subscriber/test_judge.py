"""What was found, and what verdict follows."""

import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_subscriber.board import Board, BoardKey, Inspected, Sighting
from inference_subscriber.engines.base import Detection, Findings
from inference_subscriber.evidence import wants_evidence
from inference_subscriber.judge import Judge, Judged
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Category, Frame, ModelRef, Verdict
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.seeing.health import BLACK

MakeFrame = Callable[..., Frame]
JudgeBoard = Callable[..., Verdict]
SIDES = ("left", "right")
TRIGGERED_AT = 1_790_000_000 * NS_PER_S
JUDGED_AT = TRIGGERED_AT + 100 * NS_PER_MS


@pytest.fixture
def judge(taxonomy: Taxonomy) -> Judge:
    model = ModelRef(name="red-spots", sha256="0" * 64)
    return Judge("pcb", SIDES, taxonomy, model, deadline_ns=NS_PER_S)


@pytest.fixture
def judge_board(judge: Judge, make_frame: MakeFrame) -> JudgeBoard:
    """Judges a board of which each side shows defects by name and confidence; None: not seen."""

    def give_verdict(triggered_at: int = TRIGGERED_AT, **sides: dict[str, float] | None) -> Verdict:
        board = Board(BoardKey.of("b", triggered_at), 0, None, 0, triggered_at)
        for number, (side, defects) in enumerate(sides.items()):
            if defects is not None:
                captured_at = TRIGGERED_AT + (10 + number) * NS_PER_MS
                frame = make_frame(side, "b", triggered_at, captured_at, f"{side}-frame")
                boxes = tuple(Detection(1, 2, 3, 4, confidence, name) for name, confidence in defects.items())
                board.sightings[side] = Sighting(frame, 0, Inspected(Findings(boxes), 20.0))
        return judge.verdict(board, Judged(JUDGED_AT, inference_ms=40.0))

    return give_verdict


@pytest.mark.parametrize(
    ("left", "right", "category", "confidence", "status"),
    [
        ({}, {}, "normal", 1.0, "ok"),
        ({"spur": 0.8}, {}, "normal", 1.0, "ok"),
        ({"missing_component": 0.7}, {}, "component", 0.7, "ok"),
        ({"short": 0.6, "open_circuit": 0.8}, {}, "solder", 0.8, "ok"),
        ({"short": 0.9}, {"damaged_pad": 0.3}, "scrap", 0.3, "ok"),
        ({"short": 0.6}, {"cold_joint": 0.9}, "solder", 0.9, "ok"),
        ({"short": 0.9, "missing_component": 0.95}, {"pin_hole": 0.99}, "solder", 0.9, "ok"),
        ({"unknown_anomaly": 0.5}, {}, "component", 0.5, "ok"),
        ({"short": 0.6}, None, "solder", 0.6, "incomplete"),
        ({}, None, "unjudged", 0.0, "incomplete"),
        ({"mouse_bite": 0.9}, None, "unjudged", 0.0, "incomplete"),
        (None, None, "unjudged", 0.0, "incomplete"),
    ],
)
def test_the_worst_category_of_any_side_wins(
    judge_board: JudgeBoard,
    taxonomy: Taxonomy,
    left: dict[str, float] | None,
    right: dict[str, float] | None,
    category: Category,
    confidence: float,
    status: str,
) -> None:
    verdict = judge_board(left=left, right=right)
    assert (verdict.category, verdict.confidence, verdict.status) == (category, confidence, status)
    assert verdict.final_defect_type == taxonomy.label(category)
    assert (verdict.gpio_signal is None) == (category == "unjudged")
    assert [side for side, result in verdict.sides.items() if result is not None] == [
        side for side, defects in zip(SIDES, (left, right), strict=True) if defects is not None
    ]


@pytest.mark.parametrize(
    ("left", "category", "confidence"),
    [({}, "unjudged", 0.0), ({"spur": 0.8}, "unjudged", 0.0), ({"short": 0.9}, "solder", 0.9)],
)
def test_a_picture_that_shows_nothing_leaves_its_side_unjudged(
    judge: Judge,
    make_frame: MakeFrame,
    taxonomy: Taxonomy,
    left: dict[str, float],
    category: Category,
    confidence: float,
) -> None:
    board = Board(BoardKey.of("b", TRIGGERED_AT), 0, None, 0, TRIGGERED_AT)
    boxes = tuple(Detection(1, 2, 3, 4, each, name) for name, each in left.items())
    for side, inspected in (("left", Inspected(Findings(boxes), 20.0)), ("right", Inspected(Findings(), 0.0, BLACK))):
        frame = make_frame(side, "b", TRIGGERED_AT, TRIGGERED_AT, f"{side}-frame")
        board.sightings[side] = Sighting(frame, 0, inspected)
    verdict = judge.verdict(board, Judged(JUDGED_AT, inference_ms=40.0))
    assert (verdict.category, verdict.confidence, verdict.status) == (category, confidence, "incomplete")
    right = verdict.sides["right"]
    assert right is not None
    assert (right.category, right.confidence, right.coverage, right.quality) == ("unjudged", 0.0, 0.0, str(BLACK))
    assert right.defect_type == taxonomy.label("unjudged")


def test_the_gate_is_that_of_the_taxonomy(judge_board: JudgeBoard) -> None:
    signal = judge_board(left={"damaged_pad": 0.9}, right={}).gpio_signal
    assert signal is not None
    assert (signal.pin, signal.action, signal.duration_ms) == (22, "HIGH", 500)


def test_each_side_tells_its_own_story(judge_board: JudgeBoard) -> None:
    left = judge_board(left={"short": 0.9, "spur": 0.95}, right={}).sides["left"]
    assert left is not None
    assert (left.category, left.defect_type, left.confidence) == ("solder", "납땜불량", 0.9)
    assert [box.class_name for box in left.boxes] == ["short", "spur"]


def test_times_of_a_verdict(judge_board: JudgeBoard) -> None:
    verdict = judge_board(left={}, right={})
    assert verdict.captured_at == TRIGGERED_AT + 10 * NS_PER_MS, "the first side's capture"
    assert verdict.timing is not None
    assert verdict.timing.ready_at == TRIGGERED_AT + 11 * NS_PER_MS, "the last side's"
    assert verdict.deadline_at == verdict.timing.ready_at + NS_PER_S
    assert verdict.latency_ms == 90.0


def test_a_board_nobody_saw_is_dated_by_its_trigger(judge_board: JudgeBoard) -> None:
    verdict = judge_board()
    assert (verdict.captured_at, verdict.deadline_at) == (TRIGGERED_AT, TRIGGERED_AT + NS_PER_S)


def test_a_clock_ahead_does_not_stretch_the_deadline(judge_board: JudgeBoard) -> None:
    verdict = judge_board(triggered_at=JUDGED_AT + 3600 * NS_PER_S, left={}, right={})
    assert verdict.deadline_at == JUDGED_AT + NS_PER_S
    assert verdict.latency_ms >= 0


def test_the_same_pass_gives_the_same_id(judge_board: JudgeBoard) -> None:
    expected = verdict_id("pcb", "b", TRIGGERED_AT)
    assert judge_board(left={}, right={}).verdict_id == judge_board().verdict_id == expected


def test_a_verdict_survives_the_wire(judge_board: JudgeBoard) -> None:
    verdict = judge_board(left={"short": 0.9}, right={})
    assert decode_json(Verdict, encode_json(verdict)).sides == verdict.sides


IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128).filter(
    lambda text: text == text.strip()
)
TIMES = st.integers(0, 4_000_000_000 * NS_PER_S) | st.sampled_from([0, 7_258_118_399 * NS_PER_S])
FRAMES = st.dictionaries(st.sampled_from(SIDES), st.tuples(IDS, TIMES), min_size=1)


@given(IDS, st.none() | TIMES, FRAMES)
def test_whatever_ids_and_times_strangers_send_there_is_a_verdict(
    taxonomy: Taxonomy,
    make_frame: MakeFrame,
    board_id: str,
    triggered_at: int | None,
    frames: dict[str, tuple[str, int]],
) -> None:
    board = Board(BoardKey.of(board_id, triggered_at), 0, None, 0, triggered_at)
    for side, (frame_id, captured_at) in frames.items():
        frame = make_frame(side, board_id, triggered_at, captured_at, frame_id)
        board.sightings[side] = Sighting(frame, 0, Inspected(Findings(), 20.0))
    judge = Judge("pcb", SIDES, taxonomy, ModelRef(name="m", sha256="0" * 64), deadline_ns=NS_PER_S)
    verdict = judge.verdict(board, Judged(JUDGED_AT, inference_ms=40.0))
    assert decode_json(Verdict, encode_json(verdict)).verdict_id == verdict.verdict_id


def test_a_trigger_of_1970_has_the_longest_latency_that_there_is(judge_board: JudgeBoard) -> None:
    assert judge_board(triggered_at=1).latency_ms == 1e9


def test_evidence_of_every_bad_board_and_a_share_of_the_good(judge_board: JudgeBoard) -> None:
    good, bad = judge_board(left={}, right={}), judge_board(left={"short": 0.9}, right={})
    assert wants_evidence(bad, 0.0)
    assert wants_evidence(good, 1.0)
    ids = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(2000)]
    kept = sum(wants_evidence(good.model_copy(update={"verdict_id": each}), 0.05) for each in ids)
    assert 60 <= kept <= 140
