"""No password leaves the process: not with a URL, and not with what a library says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
import yaml
from pydantic import Field

from pcb_bus.contract import codec
from pcb_bus.contract.messages import Event, NodeStatus
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import is_secret, redact, redact_address, redact_all, remember
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings, Section, load_settings

ROOT = Path(__file__).parents[2]
SHOWN = [
    ("rtsp://admin:geheim@cam:554/live", "rtsp://admin:***@cam:554/live"),
    ("rtsp://admin:gehe/im@cam/live", "rtsp://admin:***@cam/live"),
    ("rtsp://admin:gehe@im@cam/live", "rtsp://admin:***@cam/live"),
    ("rtsp://admin:gehe?im#x@cam/live", "rtsp://admin:***@cam/live"),
    ("rtsp://admin:gehe:im@cam/live", "rtsp://admin:***@cam/live"),
    ("rtsp://admin:geheim%40@cam/live", "rtsp://admin:***@cam/live"),
    ("rtsp://admin:1234/geheim@cam/live", "rtsp://admin:***@cam/live"),
    ("rtsp://admin:geheim@cam/live@2", "rtsp://admin:***@2"),
    ("rtsp://admin%3Ageheim@cam/live", "rtsp://***@cam/live"),
    ("rtsp://geheim@cam/live", "rtsp://***@cam/live"),
    ("rtsp://:geheim@cam", "rtsp://:***@cam"),
    ("rtsp://admin:geheim", "rtsp://admin:***"),
    ("rtsp:/admin:geheim@cam", "rtsp:/admin:***@cam"),
    ("RTSP://관리자:비밀geheim번호@카메라/스트림", "RTSP://관리자:***@카메라/스트림"),
    ("http://cam/video?user=x&password=geheim", "http://cam/video?user=x&password=***"),
    ("http://cam/video?user=x&password=a@geheim", "http://***"),
    ("http://cam/video?user=x&PassWord=geheim&fps=5", "http://cam/video?user=x&PassWord=***&fps=5"),
    ("http://cam/video?%70assword=geheim", "http://cam/video?%70assword=***"),
    ("http://cam/video?비밀번호=geheim&x=1", "http://cam/video?비밀번호=***&x=1"),
    ("http://cam/video?password=gehe&im&x=1", "http://cam/video?password=***&x=1"),
    ("http://cam/cgi?loginuse=x&loginpas=geheim", "http://cam/cgi?loginuse=x&loginpas=***"),
    ("http://cam/cgi?-usr=x&-pwd=geheim&", "http://cam/cgi?-usr=x&-pwd=***"),
    ("http://cam/cgi?u=x&p=geheim", "http://cam/cgi?u=x&p=***"),
    ("rtsp://cam/user=admin&password=geheim&channel=1", "rtsp://cam/user=admin&password=***&channel=1"),
    ("rtsp://cam/user=admin_password=geheim_channel=1_stream=0.sdp?x", "rtsp://cam/user=admin_password=***"),
    ("mysql+pymysql://u:geheim@h/db?ssl_key_password=geheim", "mysql+pymysql://u:***@h/db?ssl_key_password=***"),
    ("s3://id:geheim@bucket/prefix?X-Amz-Signature=geheim", "s3://id:***@bucket/prefix?X-Amz-Signature=***"),
]
AS_IT_IS = [
    "http://127.0.0.1:9100/metrics",
    "http://[::1]:9100/metrics",
    "rtsp://cam:554/live",
    "sqlite:////srv/a@b/records.db",
    "file:///srv/a:b@c",
    "sim://left?look=assembled&product=1&seed=3&rate=2.0&epoch_ns=3&defect_share=0.1",
    "mysql+pymysql://line@db/boardline?charset=utf8mb4",
    "mysql://<user>:<password>@host/db",
    "boards/left@2.mp4",
    "0",
]


@pytest.mark.parametrize(("address", "shown"), SHOWN)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert redact_address(address) == shown
    assert redact_address(shown) == shown
    assert redact(f"cannot open {address!r}: gone") == f"cannot open {shown!r}: gone"
    assert "geheim" not in redact(f"<{address}>,\n{address}")


@pytest.mark.parametrize("address", AS_IT_IS)
def test_what_holds_no_secret_is_shown_as_it_is(address: str) -> None:
    assert redact_address(address) == address
    assert redact(f"opened {address!r}, {address}") == f"opened {address!r}, {address}"


def test_an_address_without_a_scheme_is_one_too() -> None:
    assert redact_address("admin:geheim@192.168.0.9/live") == "admin:***@192.168.0.9/live"


@pytest.mark.parametrize("key", ["password", "PASSWD", "secret", "aws_secret_access_key", "token", "비밀번호", "pwd"])
def test_names_of_secrets(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["key_file", "database_password_file", "credentials", "authority", "user", "fps", ""])
def test_names_of_others(key: str) -> None:
    assert not is_secret(key)


def as_bytes(secret: str) -> str:
    return repr(secret.encode())[2:-1]


@pytest.mark.parametrize("written", [str, quote, json.dumps, repr, as_bytes, lambda text: quote(text, safe="").lower()])
@pytest.mark.parametrize("secret", ["pa ss'wor/d", "비밀 번호@1", 'back\\slash"9', "a+b=c&d"])
def test_what_is_known_to_be_secret_is_hidden_however_it_is_written(secret: str, written: Callable[[str], str]) -> None:
    assert secret in redact(f"login failed with {secret}")
    remember({"broker": {"password": secret}})
    assert redact(f"login failed with {written(secret)}!") in {
        f"login failed with {quotes}***{quotes}!" for quotes in ("", "'", '"')
    }


def test_a_login_is_hidden_as_http_writes_it() -> None:
    remember({"source": "rtsp://admin:geh%65im@cam/live"})
    assert redact("Authorization: Basic YWRtaW46Z2VoZWlt") == "Authorization: Basic ***"


def test_a_short_password_hides_no_parts_of_words() -> None:
    remember({"password": "1234", "more": {"token": "abc"}})
    assert redact("board 01234 at 12345, login 1234 abc") == "board 01234 at 12345, login *** abc"


def test_texts_in_maps_and_lists_are_redacted() -> None:
    details = {"source": "rtsp://a:geheim@cam", "tried": ["rtsp://a:geheim@cam", 5, None], "key": "fps"}
    assert redact_all(details) == {"source": "rtsp://a:***@cam", "tried": ["rtsp://a:***@cam", 5, None], "key": "fps"}


# Where texts leave a process


class DoorSettings(Section):
    """A door."""

    source: str = "0"
    """Where."""
    width: int = 5
    """How wide."""
    options: dict[str, Any] = Field(default_factory=dict)
    """More."""


class DoorLine(LineSettings):
    """A door."""

    may_be_seen: ClassVar[frozenset[str]] = frozenset({"edge.source"})
    edge: DoorSettings = DoorSettings()


@pytest.fixture(autouse=True)
def _without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(*argv: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(DoorLine, [*argv], program="door")
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        {"edge": {"width": "rtsp://admin:geheim@cam"}},
        {"edge": {"width": f"rtsp://admin:{'geheim' * 30}@cam"}},
        {"edge": {"width": f"rtsp://admin:{'1' * 100}geheim@cam"}},
        {"edge": "rtsp://admin:gehe/im@cam"},
        {"edge": {"source": "rtsp://admin:geheim@cam/\x01"}},
        {"broker": "mqtt://me:geheim@host"},
        {"broker": {"host": "mqtt://me:geheim@..host"}},
        {"broker": {"password": ["geheim"]}},
        {"broker": {"pasword": "geheim"}},
        {"log": {"level": "http://x/?token=geheim"}},
    ],
)
def test_a_wrong_value_is_named_without_its_secret(document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert "1" * 20 not in refusal("--config", str(tmp_path / "line.yaml"))


@pytest.mark.parametrize(
    "text", ["*geheim", "!geheim x", "!geheim!x y", '"geheim', "geheim: x", "!!int geheim", "@geheim"]
)
def test_a_file_that_is_not_yaml_is_not_quoted(text: str, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(f"broker:\n  password: {text}\n", encoding="utf-8")
    said = refusal("--config", str(tmp_path / "line.yaml"))
    assert "not YAML: " in said
    assert ": line " in said or "!!int" in text


def test_where_a_file_is_not_yaml_is_told(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text("root: pcb\nbroker: {host: @x}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2, column 16: found character '@' that cannot start any token; text"):
        codec.read_yaml(tmp_path / "line.yaml")


@pytest.mark.parametrize(
    "argv",
    [
        ("--broker.password", "geheim"),
        ("--broker.password=geheim",),
        ("--edge", '{"options": {"password": "geheim"}}'),
        ("--edge.options", '{"secret": "geheim"}'),
        ("--edge.options", '{"client": {"url": "http://a:geheim@b"}}'),
    ],
)
def test_secrets_on_the_command_line_are_refused(argv: tuple[str, ...]) -> None:
    assert "every user of this machine can read a password on the command line" in refusal(*argv)


def test_the_refusal_says_where_a_password_goes() -> None:
    assert refusal("--broker.password", "geheim").endswith("put it into the node's file in `broker.credentials`")
    said = refusal("--edge.options", '{"secret": "geheim"}')
    assert said.startswith("edge.options.secret: ")
    assert "PCB_EDGE__OPTIONS__SECRET" in said


def test_a_camera_with_a_password_on_the_command_line_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings(DoorLine, ["--edge.source", "rtsp://admin:geheim@cam"])
    assert settings.edge.source == "rtsp://admin:geheim@cam"
    (line,) = caplog.messages
    assert line.startswith("edge.source: every user")
    assert line.endswith("put it into edge.source in the line's file, or the variable PCB_EDGE__SOURCE")


def test_the_environment_may_hold_passwords(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PCB_BROKER__PASSWORD", "geheim")
    monkeypatch.setenv("PCB_EDGE__SOURCE", "rtsp://admin:noch-mal@cam")
    assert load_settings(DoorLine, []).broker.password == "geheim"
    assert not caplog.messages
    assert redact("geheim and noch-mal") == "*** and ***"


def test_options_that_are_unknown_show_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(DoorLine, ["--sorce", "rtsp://admin:gehe/im@cam"])
    assert "rtsp://admin:***@cam" in capsys.readouterr().err


class Told(Service):
    """Keeps what it would publish."""

    def __init__(self) -> None:
        super().__init__("edge_publisher", "edge-left", LineSettings(broker=BrokerSettings(credentials=Path("none"))))
        self.payloads: list[bytes] = []
        self.session.publish = self._keep  # type: ignore[method-assign,assignment]

    def _keep(self, topic: object, payload: bytes, **_: object) -> None:
        self.payloads.append(payload)


def test_events_and_status_show_no_secret(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    remember({"password": "geheim"})
    service = Told()
    monkeypatch.setattr(type(service.session), "connected", True)
    service.event("error", "lost rtsp://a:x/y@cam", reason="the library says geheim", tried=["http://c/?pwd=x"])
    service.health["camera"] = "no camera: geheim rtsp://a:x/y@cam"
    event = Event.model_validate_json(service.payloads[0])
    assert event.message == "lost rtsp://a:***@cam"
    assert event.details == {"reason": "the library says ***", "tried": ["http://c/?pwd=***"]}
    assert NodeStatus.model_validate_json(service.payloads[1]).detail == "no camera: *** rtsp://a:***@cam"
    service.session.stop()


LOGS = """
import logging, sys, warnings
from pathlib import Path
from pcb_bus.runtime.logs import set_up_logging
from pcb_bus.runtime.process import keep_to_ourselves
from pcb_bus.runtime.redaction import remember
keep_to_ourselves()
remember({"password": "geheim"})
set_up_logging("debug", Path(sys.argv[1]), "door", max_bytes=100_000, backups=2)
log = logging.getLogger("x")
log.warning("no login with %s at %s", "geheim", "rtsp://a:noch/mal@cam")
try:
    raise OSError("cannot open mysql://a:noch@mal@db/x")
except OSError:
    log.exception("failed")
warnings.warn("http://cam/?password=nochmal", UserWarning)
raise RuntimeError("at last: geheim, rtsp://a:noch/mal@cam")
"""


def test_console_and_file_show_no_secret_whoever_wrote_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGS, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    file = (tmp_path / "door.log").read_text(encoding="utf-8")
    assert "no login with *** at rtsp://a:***@cam" in file
    assert "OSError: cannot open mysql://a:***@db/x" in file
    assert "UserWarning: http://cam/?password=***" in file
    assert "RuntimeError: at last: ***, rtsp://a:***@cam" in done.stderr
    lines = [line for line in done.stderr.splitlines() if "raise " not in line]
    for text in (file, "\n".join(lines)):
        assert not [word for word in ("geheim", "noch") if word in text.replace('"http://cam/?password=nochmal"', "")]
