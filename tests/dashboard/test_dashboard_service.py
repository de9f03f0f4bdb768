"""The dashboard as a process: how it starts, what it says, and that it ends in time."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
import yaml
from sqlalchemy import update
from support.peer import broker_settings
from support.ports import free_port
from support.probe import Probe
from websockets.sync.client import connect

from broker import Broker
from dashboard.service import build
from dashboard.settings import DashboardLine, DashboardSettings, Records
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import load_settings
from records.database import database_url, make_engine
from records.migrate import bring_up_to_date
from records.tables import User

PROJECT = Path(__file__).parents[2]


@contextmanager
def running(folder: Path, broker: Broker, **dashboard: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m dashboard`, and its address. Its database is `records.db` in the folder."""
    port = free_port()
    settings = {
        "broker": {"host": broker.host, "port": broker.port, "credentials": str(broker.credentials_folder)},
        "log": {"directory": None},
        "dashboard": {"port": port, "tls": False, "doors": {"port": free_port()}, **dashboard},
        "recorder": {"database_url": f"sqlite:///{folder / 'records.db'}", "batch_size": 500},
    }
    (folder / "line.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "dashboard", "--config", str(folder / "line.yaml")]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def changed(folder: Path) -> None:
    """The password, as far as the database knows."""
    engine = make_engine(database_url(f"sqlite:///{folder / 'records.db'}"))
    with engine.begin() as connection:
        connection.execute(update(User).values(must_change_password=False))
    engine.dispose()


def test_the_first_start_tells_a_password_once_and_a_stop_ends_open_streams(tmp_path: Path, broker: Broker) -> None:
    with Probe(broker, "viewer") as viewer, running(tmp_path, broker) as (process, address):
        viewer.subscribe("pcb/status/dashboard")
        viewer.wait_for("pcb/status/dashboard", lambda each: b'"online"' in each.payload, timeout=20)
        assert httpx.get(f"{address}/health").json()["status"] == "ok"  # without tables, too
        bring_up_to_date(database_url(f"sqlite:///{tmp_path / 'records.db'}"), "pcb", ZoneInfo("UTC"))
        assert process.stdout is not None
        told = re.fullmatch(r"dashboard: first login, shown this once: admin (\S+)\n", process.stdout.readline())
        assert told is not None
        with httpx.Client(base_url=address, headers={"origin": address}) as browser:
            login = {"username": "admin", "password": told[1]}
            assert browser.post("/login", data=login).status_code == 303
            assert browser.get("/").headers["location"] == "/account"
            changed(tmp_path)
            browser.post("/login", data=login)
            cookies = "; ".join(f"{each.name}={each.value}" for each in browser.cookies.jar)
        headers = {"Origin": address, "Cookie": cookies}
        with connect(f"ws{address[4:]}/live", additional_headers=headers, proxy=None) as stream:
            assert stream.recv(10)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0  # had it hung, it would have ended itself with another code
        said = process.stdout.read() + (process.stderr.read() if process.stderr else "")
        assert told[1] not in said
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("--dashboard.address", "elsewhere"), "dashboard.address"),
        (
            ("--dashboard.address", "192.0.2.1", "--no-dashboard.tls"),
            "without tls the pages are for this machine",
        ),
        (("--dashboard.screen.distance_m", "50"), "take a larger screen, or read it from nearer"),
        (("--dashboard.first_password", "geheim-geheim"), "PCB_DASHBOARD__FIRST_PASSWORD"),
        (("--database_url", "postgres:x"), "recorder.database_url"),
    ],
)
def test_wrong_settings_are_one_line(option: tuple[str, ...], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings(DashboardLine, list(option)).recorder.url  # noqa: B018 - reading it checks it
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_a_taxonomy_the_pages_are_served_and_old_programs_are_told_why_not(
    tmp_path: Path, broker: Broker, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with the dashboard alone."""
    monkeypatch.chdir(tmp_path)
    settings = DashboardLine(
        broker=broker_settings(broker),
        dashboard=DashboardSettings(port=free_port),
        recorder=Records(database_url=f"sqlite:///{tmp_path / 'records.db'}", images=str(tmp_path / "images")),
    )
    service = build(settings)
    try:
        assert service.doors is None
        assert "copy it from the machine of inference" in service._service.health["doors"]
    finally:
        service.stop()
