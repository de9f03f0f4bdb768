"""A frame against its golden board: what is lost, what gets another name, and what stays."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.bare_boards import as_jpeg, grey_board, noisy

from inference_subscriber.anomaly.registration import Matrix
from inference_subscriber.copper import Grey
from inference_subscriber.engines.base import Detection, DetectOptions, Findings, Image
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.golden import GoldenBoard
from inference_subscriber.golden_boards import GoldenBoards, open_golden_boards
from inference_subscriber.inspecting import Inspector
from inference_subscriber.service import build
from inference_subscriber.settings import InferenceLine
from pcb_bus.contract.messages import ModelRef
from pcb_bus.contract.taxonomy import CopperNames, Taxonomy
from pcb_bus.errors import ConfigError
from simulator.bare_board import DEFECT_CLASSES, DrawnDefect

SEED = 20_001
Told = list[tuple[str, str]]


@pytest.fixture
def names(taxonomy: Taxonomy) -> CopperNames:
    assert taxonomy.copper is not None
    return taxonomy.copper


@pytest.fixture
def golden(names: CopperNames) -> GoldenBoard:
    return GoldenBoard(grey_board(SEED)[0], names)


def camera(board: Grey, *, turned: float = 0.8, aside: tuple[float, float] = (6, -4)) -> tuple[Image, Matrix]:
    """The board as a camera sees it, turned and shifted, with noise and JPEG; and the 2 x 3 matrix of that."""
    matrix = np.asarray(cv2.getRotationMatrix2D((320, 240), turned, 1), np.float64)
    matrix[:, 2] += np.array(aside)
    seen = np.asarray(cv2.warpAffine(board, matrix, (640, 480), None, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.cvtColor(as_jpeg(noisy(seen, SEED)), cv2.COLOR_GRAY2BGR), np.uint8), matrix


def detection(defect: DrawnDefect, matrix: Matrix, class_name: str, confidence: float = 0.9) -> Detection:
    """Around where the camera sees the defect."""
    x, y = matrix @ np.array(((defect.x1 + defect.x2) / 2, (defect.y1 + defect.y2) / 2, 1))
    width, height = (defect.x2 - defect.x1) / 2, (defect.y2 - defect.y1) / 2
    return Detection(x - width, y - height, x + width, y + height, confidence, class_name)


def corners(found: Detection) -> tuple[float, float, float, float]:
    return found.x1, found.y1, found.x2, found.y2


@pytest.mark.parametrize("class_name", DEFECT_CLASSES)
def test_a_true_defect_stays_and_boxes_where_nothing_changed_are_lost(golden: GoldenBoard, class_name: str) -> None:
    board, (defect,) = grey_board(SEED, class_name)
    frame, matrix = camera(board)
    true = detection(defect, matrix, class_name)
    places = [(x, y) for x in range(40, 560, 130) for y in range(40, 400, 110)]
    false = [Detection(x, y, x + 40, y + 40, 0.95, "short") for x, y in places if far(x, y, true)]
    assert len(false) > 10
    (found,) = golden.review(frame, [*false, true])
    assert found.class_name == class_name
    assert corners(found) == pytest.approx(corners(true), abs=2)


def far(x: float, y: float, true: Detection) -> bool:
    return x + 44 < true.x1 or x > true.x2 + 4 or y + 44 < true.y1 or y > true.y2 + 4


@pytest.mark.parametrize(
    ("class_name", "misnamed"), [("short", "spur"), ("open_circuit", "mouse_bite"), ("spur", "spurious_copper")]
)
def test_a_misnamed_defect_takes_the_class_of_its_change(golden: GoldenBoard, class_name: str, misnamed: str) -> None:
    board, (defect,) = grey_board(SEED, class_name)
    frame, matrix = camera(board)
    (found,) = golden.review(frame, [detection(defect, matrix, misnamed, 0.51)])
    assert found.class_name == class_name
    assert 0 < found.confidence < 0.51  # and it is not lost for that, although 0.5 was asked for


def test_two_names_for_one_change_become_one_defect(golden: GoldenBoard) -> None:
    board, (defect,) = grey_board(SEED, "short")
    frame, matrix = camera(board)
    found = golden.review(frame, [detection(defect, matrix, "spur", 0.9), detection(defect, matrix, "short", 0.6)])
    assert [each.class_name for each in found] == ["short"]
    assert found[0].confidence > 0.6


def test_a_class_that_is_no_change_of_copper_keeps_its_name(golden: GoldenBoard) -> None:
    board, (defect,) = grey_board(SEED, "mouse_bite")
    frame, matrix = camera(board)
    scrap = detection(defect, matrix, "damaged_pad")
    assert golden.review(frame, [scrap]) == (scrap,)


def test_what_the_golden_board_does_not_show_stays(golden: GoldenBoard) -> None:
    frame, _ = camera(grey_board(SEED)[0], turned=0, aside=(30, 0))
    beyond, within = Detection(0, 200, 40, 240, 0.6, "short"), Detection(40, 200, 80, 240, 0.6, "short")
    assert golden.review(frame, [beyond, within]) == (beyond,)


def test_the_surest_comes_first(golden: GoldenBoard) -> None:
    board, defects = grey_board(SEED, "short", "open_circuit")
    frame, matrix = camera(board)
    sure = detection(defects[0], matrix, "spur", 0.9)
    less = detection(defects[1], matrix, "open_circuit", 0.6)
    assert [each.class_name for each in golden.review(frame, [sure, less])] == ["open_circuit", "short"]


class Seen(NetworkEngine):
    """Finds a `short` where nothing changed, in every picture."""

    def __init__(self) -> None:
        super().__init__(("short",), ModelRef(name="seen", sha256="c" * 64), DetectOptions())
        self.best_batch = 2

    def prepare(self, count: int, height: int, width: int) -> None:
        """Nothing to do."""

    def run(self, batch: Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        anchor = np.array([320, 240, 20, 20, 0.9], np.float32).reshape(1, 5, 1)
        return np.repeat(anchor, len(batch), axis=0)


def inspector(golden: GoldenBoard, told: Told) -> Inspector:
    boards = GoldenBoards({"left": golden}, lambda side, reason: told.append((side, reason)))
    return Inspector(Seen(), golden=boards)


def test_only_the_side_that_has_one_is_compared(golden: GoldenBoard) -> None:
    frame = camera(grey_board(SEED)[0])[0]
    told: Told = []
    left, right = inspector(golden, told).inspect([("left", frame), ("right", frame)])
    assert left == Findings()
    assert [each.class_name for each in right.detections] == ["short"]
    assert told == [("left", "")]


def too_bright() -> Image:
    """All of it passes for laminate."""
    return np.asarray(camera(grey_board(SEED)[0])[0] // 3 + 150, np.uint8)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8), "the board is not found in the frame"),
        (np.full((480, 640, 3), 128, np.uint8), "the board is not found in the frame"),
        (np.zeros((320, 320, 3), np.uint8), "frames of 320 x 320, but a golden board of 640 x 480"),
        (too_bright(), "copper and laminate do not look as on the golden board: light, or another board"),
    ],
    ids=["noise", "grey", "another size", "too bright"],
)
def test_frames_that_cannot_be_compared_stay_and_are_told_of(golden: GoldenBoard, frame: Image, reason: str) -> None:
    told: Told = []
    watched = inspector(golden, told)
    plain = Inspector(Seen()).inspect([("left", frame)])
    assert watched.inspect([("left", frame)]) == plain
    assert len(plain[0].detections) == 1
    watched.inspect([("left", camera(grey_board(SEED)[0])[0])])
    assert told == [("left", reason), ("left", "")]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "golden.png"
    cv2.imwrite(str(path), grey_board(SEED)[0])
    return path


def test_pictures_are_read_by_side(picture: Path, taxonomy: Taxonomy) -> None:
    assert open_golden_boards({"right": picture}, taxonomy).keys() == {"right"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "not a picture"),
        (b"GIF89a", "not a picture"),
        (np.full((32, 640), 255, np.uint8), "640 x 32 pixels, fewer than 64"),
        (np.full((480, 640), 255, np.uint8), "no board of black copper"),
        (np.zeros((480, 640), np.uint8), "no board of black copper"),
    ],
    ids=["missing", "empty", "no picture", "small", "white", "black"],
)
def test_a_picture_that_cannot_be_used_is_named(
    tmp_path: Path, pytestconfig: pytest.Config, content: bytes | Grey | None, reason: str
) -> None:
    path = tmp_path / "golden.png"
    if isinstance(content, np.ndarray):
        cv2.imwrite(str(path), content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^inference\.golden\.left: \S+golden\.png: {reason}[^\n]*$"):
        build(line(pytestconfig.rootpath / "config" / "pcb_defects.yaml", left=path))


def test_a_side_that_the_line_lacks_is_named(picture: Path, pytestconfig: pytest.Config) -> None:
    with pytest.raises(ConfigError, match=r"inference\.golden: top is none of the sides left, right"):
        build(line(pytestconfig.rootpath / "config" / "pcb_defects.yaml", top=picture))


def test_a_taxonomy_that_does_not_name_changes_is_refused(
    picture: Path, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    shipped = (pytestconfig.rootpath / "config" / "pcb_defects.yaml").read_text(encoding="utf-8")
    before, _, after = shipped.partition("copper:\n")
    bare = tmp_path / "defects.yaml"
    bare.write_text(before + after.split("\n\n", 1)[1], encoding="utf-8")
    with pytest.raises(ConfigError, match=r"inference\.golden: the taxonomy has no section copper"):
        build(line(bare, left=picture))


def line(taxonomy: Path, **pictures: Path) -> InferenceLine:
    return InferenceLine(taxonomy=taxonomy, inference={"golden": pictures})


def test_a_severe_defect_is_never_read_as_a_minor_one(golden: GoldenBoard, names: CopperNames) -> None:
    board, (defect,) = grey_board(SEED, "mouse_bite")
    frame, matrix = camera(board)
    called = detection(defect, matrix, "open_circuit")
    careful = GoldenBoard(grey_board(SEED)[0], names, minor=["mouse_bite"])
    assert [each.class_name for each in golden.review(frame, [called])] == ["mouse_bite"]
    assert careful.review(frame, [called]) == (called,)
