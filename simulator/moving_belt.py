"""Moving views of a belt with boards on it, as a camera above sees them, under everything that a line throws at one.

The same scene gives the same views, with the truth: which boards are in view, and where. Nothing waits: an hour of an
empty belt takes as long as drawing it. Lengths are pixels, 2,000 of them a metre; boards enter from the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import cycle

import cv2
import numpy as np
import numpy.typing as npt

from pcb_bus.contract.times import NS_PER_S
from simulator.assembled.photograph import Conditions
from simulator.painter import exposed, sensor_noise
from simulator.product import design_of, draw_side

Image = npt.NDArray[np.uint8]

PIXELS_PER_METRE = 2_000
WIDTH, HEIGHT, FPS = 640, 480, 30
BOARD_SIZE = (340, 255)
SPEEDS = (0.05, 0.5)  # m/s
#: What may be wrong with a line; all at once where several are named.
DISTURBANCES = ("lighting drift", "auto-exposure", "hand", "shadow", "vibration")
NO_BOARD = -1
_BELT_BGR = (52, 56, 60)
_SKIN_BGR = (120, 150, 200)
_EXPOSURE_S = 0.003
_RIM = 10  # of a drawn picture: the belt shows there
_STOPPED_FPS = 1.25  # through a long stop, so that an hour of it is soon over
_STILL = Conditions(shift=0, turn=0, keystone=0, motion=0, noise=(0, 0.1), white_balance=0.02)


@dataclass(frozen=True, slots=True)
class Scene:
    """A belt and what comes along on it.

    Args:
        boards: pictures of boards, uint8, height x width x 3 (BGR), in the order in which they come; fewer than `count`
            come round again; none: an empty belt.
        count: how many boards pass.
        gap: least and greatest distance between two boards, pixels.
        speed: least and greatest speed, m/s; one in between is drawn anew for each board.
        disturbances: some of `DISTURBANCES`.
        stops_s: each board is stopped somewhere in view, for so long in turn.
        lead_s: the empty belt before the first board and after the last one; all there is of an empty belt.
        start: how far the belt has gone when the camera starts, pixels.
        begin_s: when the camera starts, so that what disturbs late in an hour need not be waited for.
        fps: pictures a second.
    """

    boards: Sequence[Image] = ()
    count: int = 0
    gap: tuple[float, float] = (40, 400)
    speed: tuple[float, float] = SPEEDS
    disturbances: frozenset[str] = frozenset()
    stops_s: tuple[float, ...] = ()
    lead_s: float = 2.0
    start: float = 0.0
    begin_s: float = 0.0
    fps: float = FPS
    seed: int = 1


@dataclass(frozen=True, slots=True)
class View:
    """One picture, when it was taken, and where each board in view begins and ends: some of it may be outside."""

    image: Image
    captured_at_ns: int
    boards: dict[int, tuple[float, float]] = field(default_factory=dict)

    def whole(self, index: int) -> bool:
        """Whether that board is in view from end to end."""
        begin, end = self.boards.get(index, (-1.0, 0.0))
        return begin >= 0 and end <= WIDTH

    def board_at(self, outline: tuple[float, float, float, float] | None) -> int:
        """The board of which most lies within an outline, shares of the picture; `NO_BOARD` where there is none."""
        left, right = (outline[0] * WIDTH, outline[2] * WIDTH) if outline else (0.0, 0.0)
        shared = {index: min(end, right) - max(begin, left) for index, (begin, end) in self.boards.items()}
        index = max(shared, key=lambda each: shared[each], default=NO_BOARD)
        return index if shared.get(index, 0) > 0 else NO_BOARD


@lru_cache(maxsize=4)
def product_boards(product: int, count: int = 6) -> tuple[Image, ...]:
    """Boards of one product; they differ as boards do."""
    design = design_of(product, "left")
    drawn = (draw_side(design, seed, conditions=_STILL).image for seed in range(count))
    return tuple(cut_out(each[_RIM:-_RIM, _RIM:-_RIM]) for each in drawn)


def cut_out(board: Image) -> Image:
    """A board of `BOARD_SIZE` from its picture; its edge is a thin dark line, as that of every board."""
    small = np.asarray(cv2.resize(board, BOARD_SIZE, interpolation=cv2.INTER_AREA), np.uint8)
    edge = small // 2
    edge[1:-1, 1:-1] = small[1:-1, 1:-1]
    return np.asarray(edge, np.uint8)


def coloured(boards: Sequence[Image]) -> tuple[Image, ...]:
    """The same boards in other solder masks: of another hue each, then white, then black."""
    hues = [_masked(board, 30 * number, 1, 0) for number, board in enumerate(boards)]
    return (*hues, _masked(boards[0], 0, 0.15, 110), _masked(boards[-1], 0, 0.4, -60))


def views(scene: Scene) -> Iterator[View]:
    """Every picture of the scene, in order."""
    belt, light = _Belt(scene), _Light(scene)
    noises = cycle(sensor_noise(WIDTH, HEIGHT, scene.seed))
    rng = np.random.default_rng([scene.seed, 2])
    hands = _Visits(scene.seed + 3, "hand" in scene.disturbances)
    shadows = _Visits(scene.seed + 4, "shadow" in scene.disturbances)
    shaken = "vibration" in scene.disturbances
    for now, position, speed in _motion(scene, belt):
        dx, dy = rng.uniform(-3, 3, 2) if shaken else (0.0, 0.0)
        image, boards = belt.seen(position + dx, dy)
        blur = round(speed * PIXELS_PER_METRE * _EXPOSURE_S)
        if blur > 1:
            cv2.blur(image, (blur, 1), image)
        hands.paint(image, now, _paint_hand)
        shadows.paint(image, now, _paint_shadow)
        image = exposed(light.on(image, now), next(noises))
        yield View(image, round(now * NS_PER_S), boards)


class _Belt:
    """Where everything lies on the belt, and how it looks from above."""

    def __init__(self, scene: Scene) -> None:
        rng = np.random.default_rng([scene.seed, 1])
        self._cloth = cloth(rng)
        self._boards, self.places = scene.boards, []
        place = 0.0
        for index in range(scene.count):
            length = scene.boards[index % len(scene.boards)].shape[1]
            place -= length + float(rng.uniform(*scene.gap) if index else 0)
            lateral, turn = (0.0, 0.0) if scene.gap[1] < 10 else (rng.uniform(-40, 40), rng.uniform(-1.5, 1.5))
            self.places.append((place, length, float(lateral), float(turn)))

    @property
    def length(self) -> float:
        """How far the belt goes until the last board is out of view."""
        return WIDTH - self.places[-1][0] if self.places else 0.0

    def seen(self, position: float, dy: float) -> tuple[Image, dict[int, tuple[float, float]]]:
        begin = round(-position) % (self._cloth.shape[1] - WIDTH)
        image = self._cloth[:, begin : begin + WIDTH].copy()
        boards = {}
        for index, (place, length, lateral, turn) in enumerate(self.places):
            left = place + position
            if -length < left < WIDTH:
                self._put(image, index, left, lateral + dy, turn)
                boards[index] = (left, left + length)
        return image, boards

    def _put(self, image: Image, index: int, left: float, dy: float, turn: float) -> None:
        board = self._boards[index % len(self._boards)]
        height, width = board.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
        matrix[:, 2] += np.array([left, (HEIGHT - height) / 2 + dy])
        size = (WIDTH, HEIGHT)
        cv2.warpAffine(board, matrix, size, image, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)


class _Light:
    """How bright the picture is: lamps that drift, and a camera that makes up for bright boards."""

    def __init__(self, scene: Scene) -> None:
        self._drifts = "lighting drift" in scene.disturbances
        self._exposes = "auto-exposure" in scene.disturbances
        self._gain, self._last = 1.0, 0.0

    def on(self, image: Image, now: float) -> Image:
        gain = 1.0
        if self._drifts:
            gain *= 1 + 0.35 * np.sin(2 * np.pi * now / 25)
        if self._exposes:
            wanted = 85 / max(1.0, float(image[::16, ::16].mean()))
            self._gain += (wanted - self._gain) * min(1.0, (now - self._last) / 0.3)
            self._last = now
            gain *= self._gain
        return image if gain == 1 else np.asarray(cv2.convertScaleAbs(image, alpha=gain), np.uint8)


class _Visits:
    """Something that comes into the picture now and then, at a place of its own, and goes."""

    def __init__(self, seed: int, comes: bool) -> None:
        self._rng = np.random.default_rng(seed)
        self._begin = 0.5 if comes else np.inf
        self._next()

    def _next(self) -> None:
        self._takes = float(self._rng.uniform(0.8, 2.5))
        self._place = self._rng.uniform((80, -0.5, 0), (WIDTH - 80, 0.5, 2))

    def paint(self, image: Image, now: float, painted: object) -> None:
        while now > self._begin + self._takes:
            self._begin += self._takes + float(self._rng.uniform(0.5, 4))
            self._next()
        if now >= self._begin:
            assert callable(painted)
            painted(image, (now - self._begin) / self._takes, *self._place)


def _paint_hand(image: Image, phase: float, x: float, slant: float, edge: float) -> None:
    """An arm with a hand reaches in from the upper or lower edge, and goes again."""
    reach = 300 * np.sin(np.pi * phase)
    tip_x, tip_y = x + slant * reach + 6 * np.sin(40 * phase), reach - 60
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.line(mask, (round(x), -60), (round(tip_x), round(tip_y)), 255, 80, cv2.LINE_AA)
    for finger in range(-2, 3):
        end = (round(tip_x + 22 * finger), round(reach - 6 * abs(finger)))
        cv2.line(mask, (round(tip_x) + 14 * finger, round(tip_y)), end, 255, 20, cv2.LINE_AA)
    skin = np.full((HEIGHT // 16, WIDTH // 16, 3), _SKIN_BGR, np.uint8)
    cv2.line(skin, (round(x) // 16 + 1, 0), (round(tip_x) // 16 + 1, round(reach) // 16), (90, 115, 160), 2)
    layer = cv2.resize(skin, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    way = -1 if edge > 1 else 1
    cv2.copyTo(layer[::way], mask[::way], image)


def _paint_shadow(image: Image, phase: float, x: float, slant: float, edge: float) -> None:
    """Somebody walks past a lamp."""
    small = np.ones((HEIGHT // 8, WIDTH // 8), np.float32)
    middle = (x + 900 * (phase - 0.5)) / 8
    low = (middle + 40 * slant, middle)
    corners = [(low[0] - 14, 0), (low[0] + 14, 0), (low[1] + 14, HEIGHT // 8), (low[1] - 14, HEIGHT // 8)]
    cv2.fillPoly(small, [np.array(corners, np.int32)], 0.55)
    soft = cv2.GaussianBlur(small, (0, 0), 0.6 + edge)
    factor = cv2.resize(soft, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    image[:] = cv2.multiply(image, cv2.merge([factor] * 3), dtype=cv2.CV_8U)


def _motion(scene: Scene, belt: _Belt) -> Iterator[tuple[float, float, float]]:
    """Time, s, how far the belt has gone, pixels, and its speed, m/s, for each picture."""
    rng = np.random.default_rng([scene.seed, 5])
    now, position = scene.begin_s, scene.start
    for _ in range(round(scene.lead_s * scene.fps)):
        yield now, position if belt.places else position + now * 300, 0.15
        now += 1 / scene.fps
    stops = cycle(scene.stops_s or (0.0,))
    for index, (place, length, *_) in enumerate(belt.places):
        speed = float(np.exp(rng.uniform(*np.log(scene.speed))))
        after = belt.places[index + 1][0] + 20 if index + 1 < len(belt.places) else place - WIDTH
        stop_at = rng.uniform(-place - length + 40, -place + WIDTH - 40) if scene.stops_s else np.inf
        while position < -after:
            step = speed * PIXELS_PER_METRE / scene.fps
            if position < stop_at <= position + step:
                for moment in _standing(now, next(stops), scene.fps):
                    now = moment
                    yield now, position, 0.0
            position += step
            now += 1 / scene.fps
            yield now, position, speed
    for _ in range(round(scene.lead_s * scene.fps) if belt.places else 0):
        now += 1 / scene.fps
        yield now, position, 0.0


def _standing(now: float, lasts: float, fps: float) -> Iterator[float]:
    end = now + lasts
    while now < end:
        now += 1 / fps if end - now < 3 or lasts < 10 else 1 / _STOPPED_FPS
        yield now


def cloth(rng: np.random.Generator) -> Image:
    """A belt with grain, scratches and a seam of its own; it comes round every few metres."""
    width = 4 * WIDTH
    grain = cv2.GaussianBlur(rng.normal(0, 6, (HEIGHT, width)).astype(np.float32), (0, 0), 1.0)
    belt = np.clip(np.array(_BELT_BGR, np.float32) + grain[..., None], 0, 255).astype(np.uint8)
    for _ in range(25):
        start = rng.uniform((0, 0), (width, HEIGHT))
        end = start + rng.uniform(-30, 30, 2)
        shade = float(rng.uniform(35, 85))
        begin, stop = (round(start[0]), round(start[1])), (round(end[0]), round(end[1]))
        cv2.line(belt, begin, stop, (shade, shade, shade), 1, cv2.LINE_AA)
    cv2.line(belt, (2 * WIDTH, 0), (2 * WIDTH + 30, HEIGHT), (40, 42, 45), 2, cv2.LINE_AA)
    return np.hstack([belt, belt[:, :WIDTH]])


def _masked(board: Image, hue: int, saturation: float, brighter: int) -> Image:
    """The board with its solder mask in another colour; parts and pads keep theirs."""
    hsv = cv2.cvtColor(board, cv2.COLOR_BGR2HSV).astype(int)
    mask = (abs(hsv[..., 0] - np.median(hsv[..., 0])) < 25) & (hsv[..., 1] > 70)
    hsv[mask] = hsv[mask] * (1, saturation, 1) + (hue // 2, 0, brighter)
    hsv[..., 0] %= 180
    return np.asarray(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2BGR), np.uint8)
