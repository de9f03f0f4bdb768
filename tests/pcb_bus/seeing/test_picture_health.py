"""What shows nothing is told; what is odd but good stays good."""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from support.board_pictures import HEIGHT, WIDTH, cut, flat, good, jpeg_of, noisy, recoded

from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import MessageRejected
from pcb_bus.seeing.health import FROZEN, KINDS, TORN, Flaw, Lasting, Repeats, find_flaw, sharpness
from pcb_bus.seeing.jpeg import Image, decode_jpeg

Draw = Callable[[], Any]


def ended_by(rows: Image) -> Image:
    return np.vstack([good()[: -len(rows)], rows])


def kind(image: Any, usual: float | None = None) -> str | None:
    flaw = find_flaw(image, usual)
    assert flaw is None or flaw.kind in KINDS
    return flaw and flaw.kind


SHADE = cv2.resize(np.array([[0.4, 0.9], [0.7, 1.0]], np.float32), (WIDTH, HEIGHT))[..., None]

BAD: dict[str, tuple[str, Draw]] = {
    "a cap on the lens": ("black", lambda: flat(0, 0, 0)),
    "a cap on the lens, and noise": ("black", lambda: noisy(flat(5, 5, 5))),
    "the lamp is off": ("black", lambda: noisy(good() * 0.08)),
    "a finger on the lens": ("covered", lambda: noisy(SHADE * (70, 90, 180), 4)),
    "paper on the lens": ("covered", lambda: noisy(SHADE * (225, 228, 230))),
    "too long an exposure": ("overexposed", lambda: noisy(np.minimum(good() * 9.0, 255))),
    "white": ("overexposed", lambda: flat(255, 255, 255)),
    "YUV of zeros": ("start-up", lambda: flat(0, 135, 0)),
    "middle grey": ("start-up", lambda: flat(128, 128, 128)),
    "grey rows": ("torn", lambda: ended_by(flat(128, 128, 128)[:200])),
    "one grey row of blocks": ("torn", lambda: ended_by(flat(128, 128, 128)[:8])),
    "green rows": ("torn", lambda: ended_by(flat(0, 135, 0)[:100])),
    "a row that is repeated": ("torn", lambda: ended_by(np.repeat(good()[300:301], 90, axis=0))),
    "far out of focus": ("blurred", lambda: noisy(cv2.GaussianBlur(good(), (0, 0), 9))),
    "moved by a tenth of the picture": ("blurred", lambda: noisy(cv2.blur(good(), (60, 1)))),
}


@pytest.mark.parametrize("name", BAD)
def test_what_shows_nothing_is_told(name: str) -> None:
    expected, draw = BAD[name]
    assert kind(draw()) == expected
    assert kind(recoded(draw())) == expected


def sparse() -> Image:
    """A scan of bare copper: white laminate, few tracks."""
    image = flat(255, 255, 255)
    image[40:440:50, 60:600] = image[45:440:50, 60:600] = 0
    image[41:440:50, 60:600] = image[44:440:50, 60:600] = 0
    return image


def smooth(rows: int) -> Image:
    """A belt that is lighter on one side."""
    return noisy(np.repeat(np.linspace(40, 200, WIDTH)[None, :, None], rows, axis=0).repeat(3, axis=2), 0.4)


def striped() -> Image:
    """Binarised copper, as in DeepPCB: its last rows are all the same."""
    image = np.where(np.arange(WIDTH) // 9 % 2, 255, 0).astype(np.uint8)
    rows = np.repeat(np.repeat(image[None, :, None], HEIGHT, axis=0), 3, axis=2)
    rows[:200:10] = 255 - rows[:200:10]
    return rows


GOOD: dict[str, Draw] = {
    "a board": good,
    "in poor light": lambda: noisy(good() * 0.35),
    "in bright light": lambda: np.minimum(good() * 2.0, 255).astype(np.uint8),
    "with much noise": lambda: noisy(good(), 15),
    "in a JPEG of quality 20": lambda: recoded(good(), 20),
    "a smooth belt below, in a poor JPEG": lambda: recoded(np.vstack([good()[60:420], smooth(40)]), 50),
    "a little soft": lambda: cv2.GaussianBlur(good(), (0, 0), 2),
    "grey": lambda: cv2.cvtColor(cv2.cvtColor(good(), cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    "12 megapixels": lambda: cv2.resize(good(), (4000, 3000), interpolation=cv2.INTER_CUBIC),
    "upright": lambda: np.ascontiguousarray(np.rot90(good())),
    "bars above and below": lambda: np.vstack([flat(128, 128, 128)[:60], good(), flat(128, 128, 128)[:60]]),
    "tracks down to its edge": striped,
    "black copper on white": sparse,
    "a small soft one": lambda: cv2.resize(cv2.GaussianBlur(good(), (0, 0), 30), (96, 64)),
    "a strip": lambda: good()[200:232],
    "a small one": lambda: cv2.resize(good(), (96, 64), interpolation=cv2.INTER_AREA),
    "a small one of one colour": lambda: flat(60, 120, 40)[:48, :64],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_odd_but_good_stays_good(name: str) -> None:
    image = np.ascontiguousarray(GOOD[name](), np.uint8)
    assert kind(image) is None
    assert kind(recoded(image)) is None


def test_one_pixel_and_thin_pictures_harm_nothing() -> None:
    for height, width in ((1, 1), (1, 65_000), (65_000, 1), (3, 2000)):
        kind(np.full((height, width, 3), 80, np.uint8))
        stripes = np.indices((height, width)).sum(axis=0) // 2000 % 2 * 120
        kind(np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8))


def test_bars_of_one_colour_everywhere_are_no_torn_picture() -> None:
    assert kind(flat(128, 128, 128)) == "start-up"


@pytest.mark.parametrize("share", [0.01, 0.03, 0.3, 0.9])
def test_a_cut_jpeg_that_was_decoded_and_coded_again_is_torn(share: float) -> None:
    """An edge that gets pixels from its driver hides the cut in a whole JPEG."""
    jpeg = cut(jpeg_of(good()), share)
    made_up = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    whole = jpeg_of(made_up)
    with suppress(MessageRejected):  # of what decoders make of the block at the cut, it may see that it is none
        assert find_flaw(decode_jpeg(whole)) == TORN


def test_sharpness_falls_as_the_lens_goes_out_of_focus_and_as_things_move() -> None:
    soft = [sharpness(noisy(cv2.GaussianBlur(good(), (0, 0), sigma))) for sigma in (0.5, 1.5, 3, 5)]
    assert all(later < 0.9 * earlier for earlier, later in pairwise(soft))
    for kernel in ((15, 1), (1, 15)):
        assert sharpness(noisy(cv2.blur(good(), kernel))) < 0.6 * sharpness(good())


def test_sharpness_hardly_depends_on_light() -> None:
    for light in (0.4, 0.7, 1.6):
        assert sharpness(np.clip(good() * light, 0, 255).astype(np.uint8)) == pytest.approx(sharpness(good()), rel=0.15)


def test_sharpness_is_that_of_whole_edges_and_not_of_lesser_ones_beside_them() -> None:
    """Each edge of 120 grey levels takes 8 pixels, and has a sharp one of 60 levels 9 pixels away."""
    rise = np.linspace(40, 160, 9)
    parts = np.full(30, 40), rise, np.full(9, 160), np.full(30, 100), np.full(9, 160), rise[::-1]
    row = np.resize(np.concatenate(parts), 320).astype(np.uint8)
    assert sharpness(np.tile(row[None, :, None], (240, 1, 3))) == pytest.approx(1 / 8, rel=0.05)


def test_softer_than_at_the_set_up_is_blurred() -> None:
    usual = sharpness(good())
    soft = noisy(cv2.GaussianBlur(good(), (0, 0), 3))
    assert kind(good(), usual) is None
    assert kind(soft) is None
    assert kind(soft, usual) == "blurred"
    assert kind(good(), sharpness(good()) / 0.71) is None
    assert kind(good(), sharpness(good()) / 0.69) == "blurred"
    assert "as at the set-up: clean and focus the lens" in str(find_flaw(soft, usual))


def test_a_flaw_is_read_as_it_was_written() -> None:
    assert Flaw.read(str(FROZEN)) == FROZEN
    assert str(Flaw.read("nobody knows")) == "other: nobody knows"


class TestRepeats:
    def test_several_of_the_same_for_a_while_are_a_frozen_camera(self) -> None:
        repeats = Repeats[bytes](3, NS_PER_S)
        times = [0, 0.4, 0.8, 1.2, 1.6]
        assert [repeats.see(b"one", round(at * NS_PER_S)) for at in times] == [False, False, False, True, True]
        assert not repeats.see(b"two", 2 * NS_PER_S)

    def test_two_of_the_same_may_come_far_apart(self) -> None:
        repeats = Repeats[bytes](3, NS_PER_S)
        assert [repeats.see(b"one", at * NS_PER_S) for at in (0, 60, 120)] == [False, False, True]

    def test_what_is_sent_again_is_no_other_picture(self) -> None:
        repeats = Repeats[bytes](2, 0)
        assert [repeats.see(b"one", 5) for _ in range(9)] == [False] * 9

    def test_pictures_that_come_back_are_no_repeats(self) -> None:
        repeats = Repeats[bytes](2, 0)
        assert not any(repeats.see((b"one", b"two")[at % 2], at) for at in range(9))


class TestLasting:
    A, B = Flaw("torn", "a"), Flaw("black", "b")

    def seen(self, flaws: list[Flaw | None]) -> list[Flaw | None]:
        lasting = Lasting(after=3)
        return [lasting.see(each) for each in flaws]

    def test_it_begins_at_once_and_ends_after_some_good_pictures(self) -> None:
        a = self.A
        assert self.seen([None, a, None, None, None, None]) == [None, a, a, a, None, None]

    def test_what_comes_and_goes_is_one_trouble(self) -> None:
        assert self.seen([self.A, None, None] * 5) == [self.A] * 15

    def test_another_trouble_takes_its_place_when_it_stays(self) -> None:
        a, b = self.A, self.B
        assert self.seen([a, b, b, b, None]) == [a, a, a, b, b]

    def test_the_same_trouble_in_other_words_is_no_news(self) -> None:
        assert self.seen([self.A, Flaw("torn", "another")]) == [self.A] * 2
