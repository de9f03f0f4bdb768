"""The loop between recorder and gates: a verdict that the gates never heard of gets its report all the same."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.peer import until
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import ModelRef, Verdict
from pcb_bus.contract.times import now_ns
from pcb_bus.runtime.settings import BrokerSettings
from recorder.service import build
from recorder.settings import OversightSettings, RecorderLine, RecorderSettings, SpoolSettings
from records.database import database_url
from simulator.reconciliation import reconcile

OpenProbe = Callable[..., Probe]
LINE = """\
broker: {{port: {port}, credentials: {credentials}}}
log: {{directory: null}}
actuator: {{ledger: {folder}/ledger.db}}
recorder: {{database_url: "sqlite:///{folder}/records.db", images: {folder}/images}}
"""


@contextmanager
def actuator(config: Path) -> Iterator[None]:
    """The real one, on mock pins."""
    environment = {**os.environ, "PCB_CONFIG": str(config), "GPIOZERO_PIN_FACTORY": "mock"}
    process = subprocess.Popen([sys.executable, "-m", "actuator"], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_a_verdict_that_only_the_recorder_got_is_reported_late(
    broker: Broker, mqtt_probe: OpenProbe, tmp_path: Path
) -> None:
    config = tmp_path / "line.yaml"
    places = {"port": broker.port, "credentials": broker.credentials_folder, "folder": tmp_path}
    config.write_text(LINE.format(**places), encoding="utf-8")
    url = database_url(f"sqlite:///{tmp_path / 'records.db'}")
    settings = RecorderLine(
        broker=BrokerSettings(port=broker.port, credentials=broker.credentials_folder),
        recorder=RecorderSettings(
            database_url=url.render_as_string(),
            images=str(tmp_path / "images"),
            spool=SpoolSettings(path=tmp_path / "spool.db"),
            oversight=OversightSettings(report_after_s=1),
        ),
    )
    viewer = mqtt_probe("viewer")
    viewer.subscribe("pcb/actuation", "pcb/recorded", "pcb/status/+")
    service = build(settings)
    service.start()
    try:
        with actuator(config):
            viewer.wait_for("pcb/status/actuator", lambda message: b'"online"' in message.payload)
            verdict = _verdict()
            mqtt_probe("inference").publish("pcb/resend/verdict", encode_json(verdict))
            report = viewer.wait_for("pcb/actuation", lambda message: verdict.verdict_id.encode() in message.payload)
            assert b'"outcome":"late"' in report.payload
            until(lambda: reconcile(config).whole)
    finally:
        service.stop()


def _verdict() -> Verdict:
    now = now_ns()
    return Verdict(
        verdict_id=verdict_id("pcb", "board-1", now),
        board_id="board-1",
        status="incomplete",
        final_defect_type="폐기",
        category="scrap",
        confidence=0.9,
        gpio_signal=None,
        sides={},
        captured_at=now,
        judged_at=now,
        deadline_at=now + 10**9,
        latency_ms=50.0,
        model=ModelRef(name="starter", sha256="0" * 64),
    )
