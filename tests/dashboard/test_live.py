"""The live page's stream: what is published is seen, and a slow viewer is slow for itself alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest
from support.dashboard_station import Station
from support.probe import Probe
from support.verdicts import verdict
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from dashboard import live
from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Box, Evidence, SideResult, Verdict
from pcb_bus.contract.times import now_ns

_WAIT_S = 10.0


def jpeg(shade: int = 90) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((48, 64, 3), shade, np.uint8))[1])


def png() -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((3, 4, 4), np.uint8))[1])


@contextmanager
def watching(station: Station, role: str = "viewer") -> Iterator[ClientConnection]:
    headers = {"Origin": station.address, "Cookie": f"{station.cookie}={station.session(role)}"}  # type: ignore[arg-type]
    with connect(f"ws{station.address[4:]}/live", additional_headers=headers, proxy=None, max_size=None) as socket:
        yield socket


def state_where(socket: ClientConnection, **wanted: Any) -> dict[str, Any]:
    """The next one of such a board."""
    while True:
        message = socket.recv(_WAIT_S)
        if isinstance(message, str):
            state: dict[str, Any] = json.loads(message)["state"]
            board = state.get("verdict") or {}
            if all(board.get(key) == value for key, value in wanted.items()):
                return state


def picture(socket: ClientConnection) -> tuple[int, bytes]:
    """The next one, and of which side."""
    while isinstance(message := socket.recv(_WAIT_S), str):
        pass
    return message[0], message[1:]


def closing_code(socket: ClientConnection) -> int | None:
    """Once the server has closed it."""
    try:
        while True:
            socket.recv(_WAIT_S)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def board(name: str, category: str = "solder") -> Verdict:
    now = now_ns()
    box = Box(x1=16, y1=12, x2=32, y2=24, confidence=0.9, class_name="short")
    side = SideResult(
        camera_id="left", frame_id="f", captured_at=now, defect_type="납땜불량", category="solder", confidence=0.9,
        boxes=(box,), anomaly_score=0.7, inference_time_ms=9,
    )  # fmt: skip
    return verdict(name, category, sides={"left": side, "right": None}, captured_at=now, judged_at=now)


def test_a_verdict_is_seen_as_it_is_published(station: Station, inference: Probe) -> None:
    with watching(station) as socket:
        inference.publish("pcb/verdict", encode_json(board("seen")))
        state = state_where(socket, board="seen")
    assert (state["verdict"]["category"], state["verdict"]["classes"]) == ("solder", ["short"])
    assert state["broker"] is True
    assert state["shift"]["boards"] >= 1
    assert next(each for each in state["nodes"] if each["node"] == "dashboard")["state"] == "online"


def test_pictures_and_boxes_of_the_last_judged_board(station: Station, inference: Probe) -> None:
    judged = board("pictured", "scrap")
    frame, heat = jpeg(), png()
    evidence = Evidence(verdict_id=judged.verdict_id, board_id="pictured", side="left", jpeg=frame, heat_map=heat)
    with watching(station) as socket, station.visit("viewer") as browser:
        inference.publish("pcb/evidence/left", encode_msgpack(evidence))
        inference.publish("pcb/verdict", encode_json(judged))
        shown = state_where(socket, board="pictured")["judged"]
        assert (shown["id"], shown["category"], list(shown["pictures"])) == (judged.verdict_id, "scrap", ["left"])
        (box,) = shown["pictures"]["left"]["boxes"]
        assert box == {"x": 0.25, "y": 0.25, "w": 0.25, "h": 0.25, "class": "short", "confidence": 0.9}
        asked = {"id": judged.verdict_id, "side": "left"}
        got = [browser.get("/live/judged", params=asked | {"kind": kind}) for kind in ("picture", "heat")]
        assert [each.content for each in got] == [frame, heat]
        assert [each.headers["content-type"] for each in got] == ["image/jpeg", "image/png"]
        for wrong in ({"side": "right", "kind": "heat"}, {"id": "../x", "kind": "picture"}):
            assert browser.get("/live/judged", params=asked | wrong).status_code == 404
        assert browser.get("/live/judged", params=asked | {"kind": "all"}).status_code == 422


def test_the_next_picture_comes_when_the_last_was_drawn_and_is_the_newest(station: Station) -> None:
    shades = range(20, 140, 20)
    with Probe(station.broker, "edge-left") as camera, watching(station) as quick, watching(station) as slow:

        def show(shade: int) -> None:
            camera.publish("pcb/preview/left", jpeg(shade))

        show(10)
        for viewer in (quick, slow):
            while picture(viewer) != (0, jpeg(10)):
                viewer.send("0")
        quick.send("0")
        for shade in shades:
            show(shade)
            assert picture(quick) == (0, jpeg(shade))
            quick.send("0")
        slow.send("0")  # it has drawn its first only now: the others are gone
        assert picture(slow) == (0, jpeg(shades[-1]))
        slow.send("0")
        show(200)
        assert [picture(each) for each in (quick, slow)] == [(0, jpeg(200))] * 2


def test_what_is_no_picture_reaches_nobody(station: Station) -> None:
    with Probe(station.broker, "edge-right") as camera, watching(station) as viewer:
        for nonsense in (b"\xff\xd8", b"GIF89a", b"\xff\xd8\xff\xd9"):
            camera.publish("pcb/preview/right", nonsense)
        camera.publish("pcb/preview/right", jpeg(77))
        while (found := picture(viewer))[0] == 0:
            viewer.send("0")
        assert found == (1, jpeg(77))


@pytest.mark.parametrize("said", ["7", "-1", "x", "", "0" * 100, b"\0"])
def test_a_viewer_may_say_anything(station: Station, inference: Probe, said: str | bytes) -> None:
    with watching(station) as viewer:
        viewer.send(said)
        inference.publish("pcb/verdict", encode_json(board(f"after {said!r}")))
        assert state_where(viewer, board=f"after {said!r}")


def test_a_viewer_that_says_too_much_is_cut_off(station: Station) -> None:
    with watching(station) as viewer:
        viewer.send("x" * 100_000)
        assert closing_code(viewer) == 1009


def test_another_site_gets_no_stream(station: Station) -> None:
    headers = {"Origin": "http://evil.example", "Cookie": f"{station.cookie}={station.session('admin')}"}
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws{station.address[4:]}/live", additional_headers=headers, proxy=None)


def test_a_logout_ends_the_stream(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_ASK_AGAIN_S", 0.0)
    with watching(station) as viewer:
        token = viewer.request.headers["Cookie"].partition("=")[2]  # type: ignore[union-attr]
        with station.visit(None, **{station.cookie: token}) as browser:
            browser.post("/logout")
        assert closing_code(viewer) == live.LOGGED_OUT


def test_of_who_has_gone_nothing_is_kept(station: Station, inference: Probe) -> None:
    for _ in range(10):
        with watching(station) as viewer:
            state_where(viewer)
    with watching(station) as last:
        number = 0
        while len(station.service.viewers) > 1:  # each is noticed when there is news
            number += 1
            inference.publish("pcb/verdict", encode_json(board(f"gone {number}")))
            state_where(last, board=f"gone {number}")


def test_programs_read_the_same(station: Station, inference: Probe) -> None:
    with watching(station) as viewer, station.visit("viewer") as program:
        inference.publish("pcb/verdict", encode_json(board("for programs")))
        state_where(viewer, board="for programs")
        assert program.get("/api/live").json()["state"]["verdict"]["board"] == "for programs"
