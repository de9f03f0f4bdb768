"""The services of a Raspberry Pi and of a line's PC: their installer, in a folder of its own, and their units."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from actuator.settings import ActuatorLineSettings
from broker.__main__ import ServerSettings
from edge_publisher.settings import EdgeLineSettings, node_name
from inference_subscriber.settings import InferenceLine, InferenceSettings
from pcb_bus.mqtt.login import read_login
from pcb_bus.runtime.settings import load_settings
from recorder.settings import RecorderLine

REPOSITORY = Path(__file__).parents[2]
INSTALL = REPOSITORY / "deploy" / "raspberry_pi" / "install.sh"
UNITS = REPOSITORY / "deploy" / "systemd"
MOST_EXPOSED = 2.0  # of 10, by `systemd-analyze security`; below 3 it says OK, Debian's own services have 5 to 9.6


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} on this machine")
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", check=False
    )


def install(root: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return run(INSTALL, "--root", root, "--python", sys.executable, *options)


def login_file(folder: Path, node: str) -> Path:
    file = folder / f"copy of {node}.yaml"
    file.write_text(yaml.safe_dump({"username": node, "password": "secret"}), encoding="utf-8")
    return file


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    return {str(path.relative_to(root)): state(path) for path in root.rglob("*")}


def state(path: Path) -> tuple[object, ...]:
    stat = path.lstat()  # systemd-sysusers looks for a lock in /etc: its own time changes
    return stat.st_mode, stat.st_uid, None if path.is_dir() else (stat.st_mtime_ns, stat.st_ino)


@pytest.fixture(scope="module")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pi 1: the left camera and the gates, installed twice. Its root folder."""
    folder = tmp_path_factory.mktemp("pi")
    root = folder / "root"
    what = ("--role", "edge", "--side", "left", "--source=csi://0", "--role", "actuator", "--led-pin", "edge=24")
    given = ("--broker", "line-pc", *(each for node in ("actuator", "edge-left") for each in credentials(folder, node)))
    first = install(root, *what, *given)
    assert first.returncode == 0, first.stderr
    before = snapshot(root)
    second = install(root, *what, *given)
    assert (second.returncode, second.stdout.splitlines()[-1]) == (0, "install: nothing had to be done")
    assert snapshot(root) == before
    return root


def credentials(folder: Path, node: str) -> tuple[str, Path]:
    return "--credentials", login_file(folder, node)


def test_what_is_installed_is_what_the_nodes_read(pi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = pi / "etc/boardline/line.yaml"
    here = pi / "etc/boardline/credentials"
    options = ["--config", str(config), "--broker.credentials", str(here)]
    edge = load_settings(EdgeLineSettings, [*options, "--side", "left"])
    assert (edge.broker.host, edge.log.directory) == ("line-pc", Path("/var/log/boardline"))
    assert read_login(edge.broker, node_name(edge)).username == "edge-left"
    gates = load_settings(ActuatorLineSettings, options)
    assert read_login(gates.broker, "actuator").username == "actuator"
    assert "PCB_EDGE__SOURCE='csi://0'\n" in (pi / "etc/boardline/edge-left.env").read_text(encoding="utf-8")
    assert "PCB_LED_PIN=24\n" in (pi / "etc/boardline/edge-left.env").read_text(encoding="utf-8")
    assert "PCB_LED_PIN" not in (pi / "etc/boardline/actuator.env").read_text(encoding="utf-8")


def test_on_a_pc_every_node_finds_the_login_that_the_broker_makes_for_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = install(root, "--role=broker", "--role=inference", "--role=recorder")
    assert done.returncode == 0, done.stderr
    options = ["--config", str(root / "etc/boardline/line.yaml")]
    broker = load_settings(ServerSettings, options)
    home = Path("/var/lib/boardline/broker")  # as its unit says
    assert f"WorkingDirectory=%S/boardline/{home.name}\n" in unit_of(root, "broker")
    inference = load_settings(InferenceLine, options)
    assert inference.broker.credentials == home / broker.directory / "credentials"
    model = root / inference.inference.model.relative_to("/")
    assert model.read_bytes() == (REPOSITORY / InferenceSettings().model).read_bytes()
    assert load_settings(RecorderLine, options).broker == inference.broker


def unit_of(root: Path, name: str) -> str:
    return (root / f"etc/systemd/system/boardline-{name}.service").read_text(encoding="utf-8")


def test_secrets_are_for_the_services_alone(pi: Path) -> None:
    logins = pi / "etc/boardline/credentials"
    assert logins.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in logins.iterdir()} == {0o600}
    assert (pi / "etc/boardline/edge-left.env").stat().st_mode & 0o777 == 0o600  # an address may have a password


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")
def test_the_services_have_a_user_of_their_own_who_may_use_cameras_and_pins(pi: Path) -> None:
    name, _, number, *_, shell = (pi / "etc/passwd").read_text(encoding="utf-8").strip().split(":")
    assert (name, shell) == ("boardline", "/usr/sbin/nologin")
    assert {"video", "gpio"} <= {
        line.split(":")[0]
        for line in (pi / "etc/group").read_text(encoding="utf-8").splitlines()
        if "boardline" in line
    }
    for path in ("etc/boardline/credentials/actuator.yaml", "var/lib/boardline/edge-left"):
        assert (pi / path).stat().st_uid == int(number)


def test_a_user_s_changes_outlive_another_installation(pi: Path, tmp_path: Path) -> None:
    shutil.copytree(pi, root := tmp_path / "root")
    config = root / "etc/boardline/line.yaml"
    config.write_text("sides: [left]\n", encoding="utf-8")
    done = install(root, "--role", "edge", "--side", "left", "--broker", "another")
    assert "kept /etc/boardline/line.yaml" in done.stdout
    assert config.read_text(encoding="utf-8") == "sides: [left]\n"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "--role is missing"),
        (("--role", "oven"), "there is no oven"),
        (("--role", "edge"), "--side is missing"),
        (("--role", "actuator"), "--broker is missing"),
        (("--role", "actuator", "--broker", "line-pc"), "--credentials of actuator is missing"),
        (("--role", "actuator", "--broker", "line-pc; reboot"), "is no name of a host"),
        (("--role", "edge", "--side", "left", "--source", "a'; reboot"), "--source: an address has no quotes"),
        (("--role",), "--role needs a value"),
        (("--colour", "red"), "unknown option --colour"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line_and_nothing_is_done(
    tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    done = install(tmp_path / "root", *options)
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "root").exists()


def test_the_login_of_another_node_is_not_taken(tmp_path: Path) -> None:
    done = install(tmp_path / "root", "--role", "actuator", "--broker", "pc", *credentials(tmp_path, "edge-left"))
    assert "--credentials of actuator is missing" in done.stderr


@pytest.mark.parametrize("page", ["raspberry_pi.md", "raspberry_pi.ko.md"])
def test_the_wiring_that_is_drawn_is_that_of_the_gates(page: str) -> None:
    categories = yaml.safe_load((REPOSITORY / "config/pcb_defects.yaml").read_text(encoding="utf-8"))["categories"]
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    drawn = {
        name: int(bcm) for name, bcm in re.findall(r"^\| (\w+)[^|]*\| (\d+) \| \d+ \| IN\d \|$", text, re.MULTILINE)
    }
    assert drawn == {name: rule["pin"] for name, rule in categories.items() if "pin" in rule}
    for name, pin in drawn.items():
        assert re.search(rf"{name} .*BCM {pin} |BCM {pin} .*{name} ", text)


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every unit, with a Python that is there."""
    folder = tmp_path_factory.mktemp("units")
    shutil.copytree(UNITS, folder, dirs_exist_ok=True)
    for file in folder.glob("*.service"):
        text = file.read_text(encoding="utf-8").replace("/opt/boardline/venv/bin/python", sys.executable)
        file.write_text(text, encoding="utf-8")
    shutil.copy(folder / "boardline-edge@.service", folder / "boardline-edge@left.service")
    return folder


def test_systemd_understands_every_unit(units: Path) -> None:
    done = run(program("systemd-analyze"), "verify", "--man=no", *sorted(units.glob("*.service")))
    ours = [line for line in done.stderr.splitlines() if "boardline" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", ["edge@left", "actuator", "broker", "inference", "recorder"])
def test_a_unit_is_closed_off(units: Path, name: str) -> None:
    file = units / f"boardline-{name}.service"
    done = run(program("systemd-analyze"), "security", "--offline=true", "--no-pager", file)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= MOST_EXPOSED


def test_the_scripts_please_shellcheck() -> None:
    done = run(program("shellcheck"), *sorted((REPOSITORY / "deploy").rglob("*.sh")))
    assert (done.returncode, done.stdout) == (0, "")
