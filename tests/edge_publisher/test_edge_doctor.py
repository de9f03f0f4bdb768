"""What the doctor says of a camera, on the pictures of one in the test's hand."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.board_pictures import cut, good, jpeg_of
from support.hand_fed import HandFed

from broker import Broker
from edge_publisher import doctor
from edge_publisher.__main__ import main
from edge_publisher.doctor import Look, judge_look, look
from edge_publisher.settings import EdgeSettings
from edge_publisher.sources import Picture
from pcb_bus.runtime.doctor import Finding
from pcb_bus.seeing.health import sharpness

EDGE = EdgeSettings(side="left", source="0", fps=10)


def seen(*images: np.ndarray, rate: float = 10, **more: object) -> Look:
    """Pictures as they came at that rate."""
    pictures = [Picture(index, 640, 480, image=image) for index, image in enumerate(images)]
    look = Look(pictures, [index / rate for index in range(30)])
    for name, value in more.items():
        setattr(look, name, value)
    return look


def judged(seen: Look, edge: EdgeSettings = EDGE) -> dict[str, Finding]:
    return {each.what: each for each in judge_look(seen, edge)}


def test_a_good_camera_is_well() -> None:
    found = judged(seen(good()))
    assert {each.state for each in found.values()} == {"well"}
    assert found["camera"].found == "0: 640x480, raw, 10.0 pictures a second of 10"
    assert "set-up" in found["focus"].found


@pytest.mark.parametrize(
    ("fault", "what", "says"),
    [
        (lambda image: image // 20, "exposure", "black"),
        (lambda image: np.full_like(image, 255), "exposure", "overexposed"),
        (lambda image: np.full_like(image, 128), "exposure", "start-up"),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 12), "focus", "sharpness"),
        (lambda image: np.full_like(image, 90), "focus", "nothing to focus on"),
    ],
)
def test_pictures_that_show_nothing_say_what_to_do(fault: object, what: str, says: str) -> None:
    assert callable(fault)
    found = judged(seen(fault(good())))[what]
    assert (found.state, bool(found.to_do)) == ("wrong", True)
    assert says in found.found


def test_a_picture_that_was_sharper_at_the_set_up_is_out_of_focus() -> None:
    softer, usual = seen(cv2.GaussianBlur(good(), (0, 0), 3)), sharpness(good())
    assert judged(softer)["focus"].state == "well"
    assert judged(softer, EDGE.model_copy(update={"sharpness": usual}))["focus"].state == "wrong"


def test_a_torn_picture_is_a_cable() -> None:
    torn = cut(jpeg_of(good()), 0.5)
    found = judged(Look([Picture(0, 640, 480, jpeg=torn)], [0.0, 1.0]))["exposure"]
    assert (found.state, found.found) == ("wrong", "torn")


def test_a_camera_that_is_slow_frozen_or_refuses_something_is_named() -> None:
    assert "more light" in judged(seen(good(), rate=5))["camera"].to_do
    assert "frozen" in judged(seen(*[good()] * 6))["camera"].found
    folder = EDGE.model_copy(update={"source": "pictures"})
    assert judged(seen(*[good()] * 6), folder)["camera"].state == "well"
    refused = judged(seen(good(), refused=["focus 3 (it has none)"]))["camera"]
    assert (refused.state, "refuses focus 3" in refused.found) == ("wrong", True)
    assert "the cable is out" in judged(seen(good(), why="the cable is out"))["camera"].found


def test_a_camera_that_another_program_has_names_the_way_out() -> None:
    found = judged(Look(why="camera 0: /dev/video0 is in use by python (12): end that program"))
    assert (found["camera"].state, found["focus"].state) == ("wrong", "skipped")
    assert "systemctl stop" in found["camera"].to_do


def test_a_driver_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PATIENCE_S", 0.05)
    camera = HandFed()
    found = judged(look(camera, EDGE, 0.02))["camera"]
    assert "the driver hangs" in found.found
    camera.close()


def test_the_whole_edge_is_looked_over(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "LOOK_S", 0.3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    (tmp_path / "board.jpg").write_bytes(jpeg_of(good()))
    options = ["--side=left", f"--source={tmp_path}", "--log.directory=none", f"--broker.port={broker.port}"]
    options += ["--led_pin=24", "--trigger=gpio", "--edge.gpio.pin=18"]
    code = main(["doctor", "--json", *options, f"--broker.credentials={broker.credentials_folder}"])
    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(found) == ["camera", "exposure", "focus", "clock", "broker", "line's clock", "disk", "power", "pins"]
    assert found["broker"]["state"] == "well"
    assert found["exposure"]["state"] == "well"
    assert "simulated" in found["pins"]["found"]
    assert code == any(each["state"] == "wrong" for each in found.values())


def test_an_edge_without_a_side_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--source", "sim://left"]) == 2
    assert capsys.readouterr().err.startswith("edge_publisher doctor: edge.side: none is given")
