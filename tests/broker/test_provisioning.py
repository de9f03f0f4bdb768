"""Logins are made once, kept for ever, and readable by their owner alone."""

import base64
import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import ports
from support.probe import Probe

from broker import Broker
from broker.passwords import new_password, password_line
from broker.provision import provision, read_credentials
from broker.roles import acl_file, roles_of
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import ConfigError

ROLES = roles_of(Topics("pcb"), ("left", "right"))
REPOSITORY = Path(__file__).parents[2]


def credentials_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "credentials").iterdir()}


def test_first_use_makes_a_login_for_each_role(tmp_path):
    new = provision(tmp_path, ROLES)
    assert set(new) == {role.name for role in ROLES}
    assert set(credentials_in(tmp_path)) == {f"{role.name}.yaml" for role in ROLES}
    passwords = {read_credentials(tmp_path, role.name).password for role in ROLES}
    assert len(passwords) == len(ROLES)


def test_later_uses_keep_every_login(tmp_path):
    provision(tmp_path, ROLES)
    before = credentials_in(tmp_path)
    assert provision(tmp_path, ROLES) == ()
    assert credentials_in(tmp_path) == before


def test_a_new_side_gets_its_login_and_the_others_stay(tmp_path):
    provision(tmp_path, ROLES)
    before = credentials_in(tmp_path)
    assert provision(tmp_path, roles_of(Topics("pcb"), ("left", "right", "top"))) == ("edge-top",)
    after = credentials_in(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"edge-top.yaml"}


def test_a_password_of_the_operators_own_is_kept_and_works(tmp_path):
    provision(tmp_path, ROLES)
    path = tmp_path / "credentials" / "viewer.yaml"
    path.write_text('username: viewer\npassword: "열려라 참깨: #1"\n', encoding="utf-8")
    with Broker(tmp_path, ports.free_port()) as broker:
        assert broker.credentials("viewer").password == "열려라 참깨: #1"


def test_files_are_private_even_where_the_umask_is_open(tmp_path):
    before = os.umask(0)
    try:
        provision(tmp_path / "broker", ROLES)
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "broker").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "just words",
        "username: viewer",
        "[1, 2]",
        "username: [",
        "username: other\npassword: x",
        "username: viewer\npassword: 12",
    ],
)
def test_a_damaged_credentials_file_is_named_and_not_replaced(tmp_path, content):
    provision(tmp_path, ROLES)
    path = tmp_path / "credentials" / "viewer.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"viewer\.yaml"):
        provision(tmp_path, ROLES)
    assert path.read_text() == content


@given(
    st.text(min_size=1, alphabet=st.characters(blacklist_categories=["Cs", "Cc"])), st.binary(min_size=12, max_size=12)
)
def test_password_line_is_what_mosquitto_computes(password, salt):
    name, line = password_line("viewer", password, salt).split(":", 1)
    _, kind, iterations, encoded_salt, digest = line.split("$")
    assert (name, kind) == ("viewer", "7")
    expected = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(encoded_salt), int(iterations))
    assert base64.b64decode(digest) == expected


def test_passwords_are_plain_words_for_yaml_and_shell():
    for _ in range(100):
        password = new_password()
        assert password.isalpha()
        assert yaml.safe_load(f"password: {password}") == {"password": password}


def test_another_root_and_other_sides_have_their_own_acl():
    text = acl_file(roles_of(Topics("pcb/line2"), ("top",)))
    assert "topic write pcb/line2/frame/top\n" in text
    assert "user edge-top\n" in text
    assert "left" not in text
    patterns = [line.split(" ", 2)[2] for line in text.splitlines() if line.startswith("topic ")]
    assert all(pattern.startswith(("pcb/line2/", "$SYS/")) for pattern in patterns)


def run(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broker", *arguments], capture_output=True, text=True, cwd=cwd, timeout=30, check=False
    )


def test_the_command_tells_where_the_viewer_is_and_prints_no_password(tmp_path):
    done = run("provision", "--directory", str(tmp_path))
    assert done.returncode == 0
    assert "viewer.yaml" in done.stdout
    assert "mosquitto_sub -V 5" in done.stdout
    for role in ROLES:
        assert read_credentials(tmp_path, role.name).password not in done.stdout


def test_the_command_of_the_greeting_works_as_printed(broker, mqtt_probe):
    done = run("provision", "--directory", str(broker.directory), "--plain_port", str(broker.port))
    command = next(line for line in done.stdout.splitlines() if line.lstrip().startswith("mosquitto_sub"))
    mqtt_probe("inference").publish("pcb/verdict", b"seen", retain=True)
    heard = subprocess.run(
        ["bash", "-c", f"{command} -C 1 -W 10"], capture_output=True, text=True, timeout=30, check=False
    )
    assert heard.stdout == "seen\n", heard.stderr


def test_a_taken_port_is_one_line_and_code_2(broker, tmp_path):
    own = ["--directory", str(tmp_path / "other"), "--plain_port", str(ports.free_port())]
    for option, name in (("--port", "PORT"), ("--plain_port", "PLAIN_PORT"), ("--websocket_port", "WS_PORT")):
        done = run("run", *own, option, str(broker.port))
        assert done.returncode == 2
        assert done.stderr == f"port {broker.port} is in use; another one: make broker {name}={broker.port + 1}\n"


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("run", "--port", "0"), ("run", "--sides", "a,a"), ("rotate",), ("run", "--port", "1883")],
)
def test_wrong_use_is_code_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_the_foreground_broker_cleanly(tmp_path, free_port):
    command = [sys.executable, "-m", "broker", "run", "--directory", str(tmp_path), "--plain_port", str(free_port)]
    command += ["--listen", "127.0.0.1", "--port", str(ports.free_port()), "--websocket_port", str(ports.free_port())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=REPOSITORY)
    try:
        ports.wait_until_open(free_port)
        Probe(Broker(tmp_path, free_port), "viewer").close()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert b"Ctrl-C ends it" in output


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("provision", "--directory", str(tmp_path / "file" / "broker"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Not a directory" in done.stderr
