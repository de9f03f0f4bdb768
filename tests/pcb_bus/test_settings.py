import contextlib
import errno
import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from pydantic import Field

from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.login import read_login
from pcb_bus.runtime.metrics import serve_metrics
from pcb_bus.runtime.settings import (
    KEYS_OF_PROGRAMS,
    BrokerSettings,
    LineSettings,
    Section,
    load_settings,
)

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("tiny_service.py")


class CameraSection(Section):
    fps: float = 10
    """Frames a second."""
    side: str
    """Which side."""


class CameraSettings(LineSettings):
    """A camera for tests."""

    edge: CameraSection = Field(default_factory=lambda: CameraSection(side="left"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PCB_CONFIG", raising=False)


def write(document: object, name: str = "line.yaml") -> str:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def load(document: object, *argv: str) -> CameraSettings:
    return load_settings(CameraSettings, ["--config", write(document), *argv], program="camera")


def refusal(document: object, *argv: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(document, *argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(CameraSettings, [])
    assert (settings.root, settings.sides, settings.broker.port) == ("pcb", ("left", "right"), None)


def test_file_then_environment_then_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"broker": {"host": "file", "port": 1, "keepalive_s": 7}}
    monkeypatch.setenv("PCB_BROKER__HOST", "environment")
    monkeypatch.setenv("PCB_BROKER__PORT", "2")
    broker = load(document, "--broker.port", "3").broker
    assert (broker.host, broker.port, broker.keepalive_s) == ("environment", 3, 7)


@pytest.mark.parametrize("argv", [["--broker", "pi"], ["--broker=pi"], ["--broker.host", "pi"]])
def test_the_broker_has_a_short_option(argv: list[str]) -> None:
    assert load({}, *argv).broker.host == "pi"


def test_the_file_is_found_by_name_by_variable_or_by_place(monkeypatch: pytest.MonkeyPatch) -> None:
    write({"root": "place"}, "config/line.yaml")
    assert load_settings(CameraSettings, []).root == "place"
    monkeypatch.setenv("PCB_CONFIG", write({"root": "variable"}, "other.yaml"))
    assert load_settings(CameraSettings, []).root == "variable"
    assert load_settings(CameraSettings, [f"--config={write({'root': 'name'})}"]).root == "name"


def test_neighbours_sections_are_left_to_them() -> None:
    assert load({"recorder": {"anything": 1}, "edge": {"side": "right"}}).edge.side == "right"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"rooot": "pcb"}, "rooot: unknown key (in line.yaml)"),
        ({"recoder": {}}, "recoder: unknown key (in line.yaml)"),
        ({"edge": {"side": "left", "fsp": 3}}, "edge.fsp: unknown key (in line.yaml)"),
        ({"broker": {"tls": {"ca": "x"}}}, "broker.tls.ca: unknown key (in line.yaml)"),
        ({"edge": {"side": "left", "fps": "fast"}}, "edge.fps: "),
        ({"edge": {"side": "left", "fps": float("nan")}}, "edge.fps: "),
        ({"edge": {"fps": 3}}, "edge.side: Field required"),
        ({"edge": []}, "edge: "),
        ({"root": "pcb/#"}, "root: "),
        ({"root": 5}, "root: "),
        ({"sides": []}, "sides: "),
        ({"sides": ["left", "left"]}, "sides: each side once"),
        ({"sides": ["left/top"]}, "sides.0: "),
        ({"sides": ["left", "model"]}, "sides: a verdict has a field of its own called model"),
        ({"broker": {"port": 70_000}}, "broker.port: "),
        ({"broker": {"host": ""}}, "broker.host: "),
        ({"broker": {"host": "broker..lan"}}, "broker.host: not a host name"),
        ({"log": {"level": "loud"}}, "log.level: "),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], message: str) -> None:
    assert refusal(document).startswith(message)


@pytest.mark.parametrize("content", ["- a list", "broker: [", "5"])
def test_a_file_that_is_no_map_of_settings_is_named(content: str) -> None:
    assert refusal(content).startswith("line.yaml: ")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^nowhere\.yaml: cannot be read"):
        load_settings(CameraSettings, ["--config", "nowhere.yaml"])
    with pytest.raises(ConfigError, match=r"^--config: needs the path"):
        load_settings(CameraSettings, ["--config"])


def test_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCB_BROKER__PROT", "1883")
    assert refusal({}).startswith("broker.prot: unknown key")


@pytest.mark.parametrize("key", ["broker.host", "broker.username", "broker.password", "root", "edge.side"])
def test_bytes_that_are_no_utf8_in_the_environment_are_one_line(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PCB_{key.upper().replace('.', '__')}", "caf\udce9")  # as Python gives latin-1 bytes
    assert refusal({}).startswith(f"{key}: ")


def test_a_byte_order_mark_is_no_harm() -> None:
    Path("line.yaml").write_text("root: pcb/line2\n", encoding="utf-8-sig")
    assert load_settings(CameraSettings, ["--config", "line.yaml"]).root == "pcb/line2"


@pytest.mark.parametrize(("text", "encoding"), [("공장", "cp949"), ("공장", "utf-16"), ("plain", "utf-16-le")])
def test_an_editor_that_saved_it_otherwise_is_told(text: str, encoding: str) -> None:
    Path("line.yaml").write_text(f"root: {text}\n", encoding=encoding)
    with pytest.raises(ConfigError, match=r"^line\.yaml: not UTF-8 text; save it as UTF-8$"):
        load_settings(CameraSettings, ["--config", "line.yaml"])


def programs() -> Iterator[type[LineSettings]]:
    """The settings of every program of ours that reads the file."""
    for room in sorted(each.parent.name for each in ROOT.glob("*/__main__.py")):
        importlib.import_module(f"{room}.__main__")
    waiting = LineSettings.__subclasses__()
    for kind in waiting:
        waiting += kind.__subclasses__()
        if (ROOT / kind.__module__.split(".")[0]).is_dir() and not kind.__module__.startswith("tests."):
            yield kind


def test_what_one_program_reads_is_known_to_all() -> None:
    keys = {key for kind in programs() for key in kind.model_fields} - LineSettings.model_fields.keys()
    assert {"edge", "inference", "actuator", "recorder", "listen"} <= keys <= KEYS_OF_PROGRAMS


def test_the_shipped_file_suits_every_program() -> None:
    document = yaml.safe_load((ROOT / "config" / "line.yaml").read_text(encoding="utf-8"))
    broker_too = write({**document, "listen": "127.0.0.1", "websocket_port": 9002, "metrics": {"port": 9100}})
    for kind in programs():
        assert load_settings(kind, ["--config", broker_too]).metrics.port == 9100


def test_a_login_in_the_settings_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "recorder.yaml").write_text("username: recorder\npassword: from the file\n", encoding="utf-8-sig")
    own = BrokerSettings(credentials=tmp_path, username="me", password="mine")
    assert read_login(own, "recorder").username == "me"
    assert read_login(BrokerSettings(credentials=tmp_path), "recorder").password == "from the file"
    assert read_login(BrokerSettings(credentials=tmp_path), "nobody").username is None
    assert read_login(BrokerSettings(credentials=tmp_path / "nowhere"), "recorder").username is None


def bad_credentials(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_login(BrokerSettings(credentials=folder), "recorder")
    assert str(caught.value).startswith(f"broker.credentials: {folder}")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs username and password"),
        (b"username: recorder", "needs username and password"),
        (b"username: recorder\npassword: 0123", "a number in quotes"),
        (b"username: recorder\npassword: ''", "needs username and password"),
        (b"- a list", "needs username and password"),
        (b"password: *s3cret", "not YAML"),
        (b"password: [s3cret", "not YAML"),
        (b"\xff\xfe", "save it as UTF-8"),
    ],
)
def test_a_credentials_file_that_cannot_be_used_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "recorder.yaml").write_bytes(content)
    said = bad_credentials(tmp_path)
    assert message in said
    assert "s3cret" not in said


def test_credentials_that_cannot_be_read_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recorder.yaml").mkdir()
    assert "recorder.yaml: cannot be read: Is a directory" in bad_credentials(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert "cannot be read: Not a directory" in bad_credentials(tmp_path / "file")

    def of_another_user(path: Path, *_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", of_another_user)  # tests may run as root, whom nothing is denied
    monkeypatch.setattr(Path, "stat", of_another_user)
    assert "Permission denied; run as its owner, or let this user read it" in bad_credentials(tmp_path)


def test_several_services_of_one_machine_share_one_metrics_port(caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.ExitStack() as taken, caplog.at_level("INFO"):
        port = block(taken, 3)
        serve_metrics(port)
    (line,) = [record.message for record in caplog.records]
    chosen = int(line.split(":")[-1].split("/")[0])
    assert chosen > port
    with urlopen(f"http://127.0.0.1:{chosen}/metrics", timeout=10) as page:
        assert b"boardline_messages_received" in page.read()


def test_ports_that_are_all_in_use_are_one_line() -> None:
    with contextlib.ExitStack() as taken:
        port = block(taken, 20)
        with pytest.raises(ConfigError, match=rf"^metrics\.port: {port} to {port + 19} are all in use on 127\.0\.0\.1"):
            serve_metrics(port)
    with pytest.raises(ConfigError, match=r"^metrics\.port: cannot listen on 192\.0\.2\.1"):
        serve_metrics(port, "192.0.2.1")


def block(stack: contextlib.ExitStack, count: int) -> int:
    """Listen on so many ports in a row; gives the first."""
    while True:
        with contextlib.ExitStack() as sockets:
            first = sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                for port in range(first + 1, first + count):
                    sockets.enter_context(socket.create_server(("127.0.0.1", port)))
                stack.push(sockets.pop_all())
                return int(first)


def test_none_can_be_said_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load({}).log.directory == Path("var/log")
    assert load({"log": {"directory": None}}).log.directory is None
    assert load({}, "--log.directory", "none").log.directory is None
    monkeypatch.setenv("PCB_LOG__DIRECTORY", "none")
    assert load({}).log.directory is None


def test_a_password_is_never_shown() -> None:
    settings = load({"broker": {"password": "s3cret"}})
    assert "s3cret" not in repr(settings)
    assert "5323" not in refusal({"broker": {"password": 5323}})
    assert "s3cret" not in refusal({"broker": {"password": "s3cret", "port": 0}, "edge": {}})


def tiny(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TINY, *argv], capture_output=True, text=True, check=False, timeout=30)


def test_a_wrong_configuration_ends_a_service_with_one_line_and_code_2() -> None:
    done = tiny("--config", write({"recorder": {"speed": 12}}))
    assert done.returncode == 2
    assert done.stderr.startswith("tiny: recorder.speed: ")
    assert done.stderr.count("\n") == 1


def test_an_unknown_option_ends_a_service_with_code_2() -> None:
    done = tiny("--fast")
    assert done.returncode == 2
    assert "--fast" in done.stderr


def test_help_shows_every_option() -> None:
    done = tiny("--help")
    assert done.returncode == 0
    for option in ("--config", "--root", "--sides", "--broker.host", "--port", "--broker.tls.ca_file", "--log.level"):
        assert option in done.stdout
    assert "--recorder.speed" in done.stdout
    assert "Boards a second." in done.stdout
