"""The pages as a person sees them: in a headless Chromium, which the other tests of the room do without."""

from collections.abc import Iterator
from itertools import count

import cv2
import numpy as np
import pytest
from sqlalchemy import select
from support.chromium import PROGRAM, Chromium
from support.dashboard_station import PASSWORD, Station
from support.probe import Probe
from support.recorded_boards import RecordedBoards
from support.red_spots import board_jpeg
from support.verdicts import verdict

from dashboard.settings import Screen
from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Box, Category, Evidence, SideResult
from pcb_bus.contract.times import now_ns
from records.tables import Review

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: deploy/setup.sh dev chromium")

WALL, TABLET = Screen(), Screen(diagonal_inch=10.1, width=1280, height=800, distance_m=1)
SCREENS = [pytest.param(WALL, id="wall"), pytest.param(TABLET, id="tablet")]
LANGUAGES = ("ko", "en")
LIVE = "document.getElementById('nodes')?.children.length"
NUMBERS = count()
WORDS: dict[str, dict[Category, str]] = {
    "ko": {"normal": "정상", "component": "부품불량", "solder": "납땜불량", "scrap": "폐기", "unjudged": "미판정"},
    "en": {"normal": "GOOD", "component": "COMPONENT", "solder": "SOLDER", "scrap": "SCRAP", "unjudged": "UNJUDGED"},
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
        assert [each for each in opened.errors if "/login" not in each] == []  # of a login that is refused: 401


def enter(
    browser: Chromium, station: Station, language: str = "ko", screen: Screen = WALL, *, dark: bool = False
) -> None:
    """An operator who is logged in looks at the live page."""
    browser.look_as(language, dark, screen.width, screen.height)
    session = station.session("operator")
    browser.call("Network.setCookie", name=station.cookie, value=session, url=station.address, httpOnly=True)
    browser.open(station.address)
    browser.wait_for(LIVE)


def show(browser: Chromium, probe: Probe, category: Category) -> None:
    """The verdict on a board of its own is on the page."""
    board = f"{category} {next(NUMBERS)}"
    publish(probe, board, category)
    browser.wait_for(f"state?.verdict?.board === '{board}'")


def publish(probe: Probe, board: str, category: Category) -> str:
    now = now_ns()
    side = SideResult(
        camera_id="left", frame_id="f", captured_at=now, defect_type="x", category=category, confidence=0.9,
        boxes=(Box(x1=16, y1=12, x2=32, y2=24, confidence=0.9, class_name="short"),), anomaly_score=None,
        inference_time_ms=9,
    )  # fmt: skip
    judged = verdict(board, category, sides={"left": side, "right": None}, captured_at=now, judged_at=now)
    probe.publish("pcb/verdict", encode_json(judged))
    return judged.verdict_id


def picture(*bgr: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((48, 64, 3), bgr, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100])[1])


def colour(browser: Chromium, canvas: str, x: float = 0.9, y: float = 0.9) -> list[int]:
    """RGB of the canvas there."""
    place = f"c.getContext('2d').getImageData(c.width * {x}, c.height * {y}, 1, 1).data"
    found: list[int] = browser.value(f"(c => [...{place}])(document.querySelector('{canvas}'))")
    return found[:3]


def test_a_login_by_keyboard_and_the_way_out(browser: Chromium, station: Station) -> None:
    browser.look_as("ko")
    browser.open(station.address)
    assert browser.value("document.activeElement.name") == "username"
    browser.fill(username="operator", password="wrong")
    browser.press("Enter", loads=True)
    assert "이름 또는 비밀번호가 다릅니다" in browser.text()
    assert browser.value("document.getElementsByName('username')[0].value") == "operator"
    browser.fill(password=PASSWORD)
    browser.press("Enter", loads=True)
    browser.wait_for(LIVE)
    browser.click("form[action='/logout'] button", loads=True)
    assert browser.value("location.pathname") == "/login"


def test_the_language_is_switched_by_touch_and_by_a_key_of_the_numpad(browser: Chromium, station: Station) -> None:
    enter(browser, station, "en-US,en")
    assert "Last ten boards" in browser.text()
    browser.click("a[data-key='*']", loads=True)
    browser.wait_for("document.documentElement.lang === 'ko' && document.getElementById('nodes').children.length")
    assert "최근 기판 10장" in browser.text()
    browser.press("*", loads=True)
    browser.open(station.address)
    assert browser.value("document.documentElement.lang") == "en"


def test_brightness_and_sound_have_keys(browser: Chromium, station: Station) -> None:
    enter(browser, station, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = browser.value(ground)
    browser.press("/")
    light = browser.value(ground)
    assert dark != light
    browser.open(station.address)
    assert browser.value(ground) == light
    sound = "document.getElementById('sound').getAttribute('aria-pressed')"
    before = browser.value(sound)
    browser.press("0")
    assert browser.value(sound) != before
    browser.press("0")
    browser.wait_for("sound.context.state === 'running'")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_live_verdict_appears_as_word_colour_and_shape(
    browser: Chromium, station: Station, inference: Probe, language: str
) -> None:
    enter(browser, station, language)
    looks = set()
    for category, word in WORDS[language].items():
        show(browser, inference, category)
        assert browser.value("document.getElementById('word').textContent") == word
        shape = browser.value("document.getElementById('shape').getAttribute('href')")
        looks.add((browser.value("getComputedStyle(document.querySelector('.verdict')).backgroundColor"), shape))
        assert f"{category} " in browser.value("document.getElementById('about').textContent")
        assert browser.value("document.querySelector('#last li').dataset.category") == category
    assert len({colour for colour, _ in looks}) == len({shape for _, shape in looks}) == len(WORDS[language])


def test_cameras_move_and_judged_pictures_stand_beside_them_with_box_and_heat(
    browser: Chromium, station: Station, inference: Probe
) -> None:
    enter(browser, station)
    with Probe(station.broker, "edge-left") as camera:
        for bgr, rgb in (((0, 0, 200), [200, 0, 0]), ((200, 0, 0), [0, 0, 200])):
            camera.publish("pcb/preview/left", picture(*bgr))
            red = "c.getContext('2d').getImageData(9, 9, 1, 1).data[0]"
            browser.wait_for(f"(c => Math.abs({red} - {rgb[0]}) < 9)(document.querySelector('[data-side=\"0\"]'))")
        assert browser.value("document.querySelector('.cameras figure').classList.contains('shown')")
    heat = np.zeros((2, 2, 4), np.uint8)
    heat[0, 0] = (0, 0, 255, 255)
    judged = publish(inference, "judged", "scrap")
    evidence = Evidence(
        verdict_id=judged, board_id="judged", side="left", jpeg=picture(90, 90, 90),
        heat_map=bytes(cv2.imencode(".png", heat)[1]),
    )  # fmt: skip
    inference.publish("pcb/evidence/left", encode_msgpack(evidence))
    browser.wait_for("document.querySelector('.judged .shown') && judgedNow?.board === 'judged'")
    canvas = "[data-judged=left]"
    assert colour(browser, canvas, 0.1, 0.1)[0] > 200
    assert max(abs(each - 90) for each in colour(browser, canvas, 0.95, 0.95)) < 9
    edge = colour(browser, canvas, 0.25, 0.4)
    assert max(edge) - min(edge) > 60  # the box, in the colour of its category
    assert max(abs(a - b) for a, b in zip(colour(browser, '[data-side="0"]'), [0, 0, 200], strict=True)) < 9


LETTERS = """(() => {
  const context = document.createElement('canvas').getContext('2d');
  return ['word', 'boards', 'target', 'yield'].map((id) => {
    const style = getComputedStyle(document.getElementById(id));
    context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const word = document.getElementById(id).textContent.replace(/[^\\p{L}\\p{N}]/gu, '');
    return [id, ...[...word].map((letter) => {
      const box = context.measureText(letter);
      return box.actualBoundingBoxAscent + box.actualBoundingBoxDescent;
    })];
  });
})()"""
CUT_OFF = """[...document.querySelectorAll('main, section, .far, h2, .top, .tool')].filter((each) => {
  const box = each.getBoundingClientRect();
  return each.scrollWidth > each.clientWidth + 1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1;
}).map((each) => each.outerHTML.slice(0, 80))"""
TOO_SMALL = """[...document.querySelectorAll('a:not(.skip), button')].filter((each) => {
  const box = each.getBoundingClientRect();
  return Math.min(box.width, box.height) < SIZE - 0.5;
}).map((each) => each.outerHTML)"""


BUSY = """take({ now: Date.now(), state: { ...state, shift: { ...state.shift, boards: 86400, target: 90000, due: 90000,
  counts: { normal: 80000, component: 2000, solder: 3000, scrap: 1000, unjudged: 400 } } } })"""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("screen", SCREENS)
def test_it_is_read_from_afar_and_touched_with_gloves(
    browser: Chromium, station: Station, inference: Probe, screen: Screen, language: str
) -> None:
    """Letters of 1/200 of the distance, as they are drawn, whatever the size of their font; nothing is cut off."""
    enter(browser, station, language, screen)
    for category in WORDS[language]:
        show(browser, inference, category)
        for name, *heights in browser.value(LETTERS):
            assert heights, name
            assert min(heights) >= screen.letter_px, (name, category)
        assert browser.value(CUT_OFF) == []
    assert browser.value(f"({BUSY}, [by('boards').textContent, {CUT_OFF}])") == ["86,400", []]
    assert browser.value(TOO_SMALL.replace("SIZE", str(screen.touch_px))) == []
    size = browser.value("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert size == [screen.width, screen.height]


def test_a_line_that_says_nothing_is_told_in_large_letters(browser: Chromium, station: Station) -> None:
    enter(browser, station, "en")
    assert browser.value("document.getElementById('alarm').hidden")
    said = "[by('alarm').hidden, by('alarm').textContent, parseFloat(getComputedStyle(by('alarm')).fontSize)]"
    silent = "take({ now: Date.now(), state: { ...state, news: Date.now() - 75000 } })"
    hidden, words, size = browser.value(f"({silent}, {said})")
    assert (hidden, words) == (False, "No news for 75 s")
    assert size >= WALL.letter_px
    assert browser.value(f"({silent}, {CUT_OFF})") == []
    _, words, _ = browser.value(f"(take({{ now: Date.now(), state: {{ ...state, broker: false }} }}), {said})")
    assert words.startswith("No broker for")
    browser.wait_for("document.getElementById('alarm').hidden")  # the server says how it is within a second


def test_a_wall_screen_needs_no_login_and_offers_none(browser: Chromium, station: Station) -> None:
    browser.look_as("en")
    browser.open(f"{station.address}/kiosk/{station.token('engineer', 'kiosk')}")
    browser.wait_for("location.pathname === '/' && document.getElementById('nodes')?.children.length")
    assert not browser.value("Boolean(document.querySelector('form'))")


def test_a_review_by_keys_with_undo_and_a_missed_defect_drawn_on_the_picture(
    browser: Chromium, station: Station, boards: RecordedBoards
) -> None:
    verdict = boards.add("bench", "solder", [("left", "short", 0.9)], jpeg=board_jpeg(short=True))
    enter(browser, station, "en")
    browser.open(f"{station.address}/review/{verdict}")
    assert browser.value("document.querySelector('.zoom image').getBoundingClientRect().width") > 100
    browser.press("2", loads=True)
    assert "All calls are decided" in browser.text()
    browser.press("0", loads=True)
    assert "undone" in browser.text()
    browser.press("1", loads=True)
    browser.drag("svg.whole", (0.25, 0.25), (0.5, 0.6))
    browser.press("6", loads=True)
    assert "Missed defect" in browser.text()
    with station.engine.connect() as connection:
        held = select(Review.decision, Review.camera_id, Review.x1, Review.x2).where(Review.undone_at.is_(None))
        confirmed, missed = connection.execute(held.order_by(Review.id)).all()
    assert confirmed[0] == "confirmed"
    assert (missed.decision, missed.camera_id) == ("missed", "left")
    assert 0 < missed.x1 < missed.x2 < 64
