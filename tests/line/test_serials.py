"""From the code on a board before the camera to the history that a shell shows: edge, broker, recorder, database."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.peer import until
from support.probe import Probe
from support.recording import recording

from broker import Broker
from edge_publisher.service import build
from edge_publisher.settings import EdgeLineSettings, EdgeSettings
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import ModelRef, Trigger, Verdict
from pcb_bus.contract.times import now_ns
from pcb_bus.runtime.settings import BrokerSettings
from recorder.__main__ import main
from simulator.schedule import Schedule


def test_two_passes_of_one_serial_are_the_history_of_one_board(
    broker: Broker, mqtt_probe: Callable[..., Probe], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = Schedule(rate=0.01, epoch_ns=now_ns(), serials="datamatrix")
    edge = EdgeSettings(
        side="left",
        source=f"sim://left?{schedule.query}",
        trigger="mqtt",
        serial="datamatrix",
        serial_pattern=r"(?P<product>P\d+)-\w+-\d+",
    )
    bus = BrokerSettings(port=broker.port, credentials=broker.credentials_folder)
    inference, photo_eye, viewer = map(mqtt_probe, ("inference", "trigger", "viewer"))
    viewer.subscribe("pcb/status/edge-left", "pcb/serial/left", "pcb/event/recorder")
    service = build(EdgeLineSettings(broker=bus, edge=edge))
    service.start()
    try:
        with recording(broker, tmp_path):
            viewer.wait_for("pcb/status/edge-left", lambda message: json.loads(message.payload)["state"] == "online")
            for number, product in enumerate(("P1", "P2")):
                inference.publish("pcb/verdict", encode_json(announced(photo_eye, f"pass-{number}", product)))
                viewer.wait_for_count("pcb/serial/left", number + 1)
            asked = ["history", schedule.serial(0), "--database_url", f"sqlite:///{tmp_path / 'records.db'}"]
            until(lambda: main(asked) == 0 and len(capsys.readouterr().out.splitlines()) == 2)
            raised = viewer.wait_for(
                "pcb/event/recorder", lambda message: b"serial_of_other_product" in message.payload
            )
    finally:
        service.stop()
    assert main(asked) == 0
    shown = [line.split("  ")[2:4] for line in capsys.readouterr().out.splitlines()]
    assert shown == [["pass-1", "P2"], ["pass-0", "P1"]]
    assert "board pass-1 is P1 by its serial" in json.loads(raised.payload)["message"]


def announced(photo_eye: Probe, board: str, product: str) -> Verdict:
    """The verdict on a board whose trigger is sent now."""
    trigger = Trigger(board_id=board, triggered_at=now_ns() // 1_000_000 * 1_000_000, source="eye")
    photo_eye.publish("pcb/trigger", encode_json(trigger))
    at = trigger.triggered_at
    return Verdict(
        verdict_id=verdict_id("pcb", board, at),
        board_id=board,
        status="ok",
        final_defect_type="정상",
        category="normal",
        confidence=1.0,
        gpio_signal=None,
        sides={},
        captured_at=at,
        judged_at=at,
        deadline_at=at,
        latency_ms=1.0,
        model=ModelRef(name="starter", sha256="0" * 64),
        product=product,
    )
