"""topics.md is the public face of the contract: what it shows must decode, and its programs must run."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import cv2
import msgpack
import numpy as np
import pytest
from support.probe import Probe

from broker import Broker
from broker.roles import roles_of
from pcb_bus.contract import messages
from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Command, Frame, Message, Trigger, Verdict
from pcb_bus.contract.topics import Topic, Topics
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings

OpenProbe = Callable[..., Probe]
TEXT = Path(__file__).parents[2].joinpath("topics.md").read_text(encoding="utf-8")
SECTIONS = {part.split("\n", 1)[0]: part for part in TEXT.split("\n### ")[1:]}
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TEXT.splitlines() if line.startswith("| `pcb/")]
CLASSES = {
    name: each
    for name, each in inspect.getmembers(messages, inspect.isclass)
    if issubclass(each, Message) and each is not Message
}


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def program(language: str, word: str) -> str:
    return next(block for block in blocks(language) if word in block)


def test_every_message_has_its_section() -> None:
    assert set(SECTIONS) == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_every_example_is_a_message(name: str) -> None:
    section = SECTIONS[name]
    if example := blocks("json", section):
        assert type(decode_json(CLASSES[name], example[0].encode())) is CLASSES[name]
    else:
        packed = msgpack.packb(ast.literal_eval(blocks("python", section)[0]))
        assert type(decode_msgpack(CLASSES[name], packed)) is CLASSES[name]


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_is_shown_or_explained(name: str) -> None:
    for field, about in CLASSES[name].model_fields.items():
        shown = f'"{about.alias or field}"' in SECTIONS[name] or f"`{field}`" in SECTIONS[name]
        assert shown or (name, field) == ("Verdict", "sides")


def test_every_topic_has_its_row() -> None:
    topics = Topics()
    built = {str(each) for each in (getattr(topics, name) for name in dir(Topics)) if isinstance(each, Topic)}
    for name, variable in (
        *((name, "side") for name in ("frame", "preview", "serial", "evidence", "resend_evidence")),
        *(("reply", "requester"), ("inspect", "requester")),
        *(("status", "node"), ("event", "node"), ("command", "node")),
    ):
        built.add(str(getattr(topics, name)(f"<{variable}>")))
    assert {row[0].strip("`") for row in ROWS} == built


def test_the_roles_that_may_publish_are_those_of_the_broker() -> None:
    everybody = roles_of(Topics(), ["left"])
    for row in ROWS:
        topic, said = row[0].strip("`"), row[5]
        by_name = {role.name for role in everybody if any(mentions(each, topic) for each in role.writes)}
        if "node" in said:
            assert by_name >= {"edge-left", "inference", "actuator", "recorder"}
        else:
            assert set(re.findall(r"`([^`]+)`", said.replace("edge-<side>", "edge-left"))) == by_name, topic


def mentions(pattern: str, topic: str) -> bool:
    """Whether an ACL pattern grants a topic of the table, whose variables stand in angle brackets."""
    of_acl, of_table = pattern.removesuffix("/#").split("/"), topic.split("/")
    pairs = zip(of_acl, of_table, strict=False)
    return len(of_acl) == len(of_table) and all(a == t or t.startswith("<") for a, t in pairs)


def test_the_example_ids_are_of_the_kind_they_say() -> None:
    verdict = decode_json(Verdict, blocks("json", SECTIONS["Verdict"])[0].encode())
    assert uuid.UUID(verdict.verdict_id).version == uuid.UUID(verdict_id("pcb", "board-17", 1)).version == 5
    trigger = decode_json(Trigger, blocks("json", SECTIONS["Trigger"])[0].encode())
    command = decode_json(Command, blocks("json", SECTIONS["Command"])[0].encode())
    frame = ast.literal_eval(blocks("python", SECTIONS["Frame"])[0])
    assert trigger.triggered_at == frame["triggered_at"] == command.params["triggered_at"]


@pytest.fixture
def workplace(broker: Broker, tmp_path: Path) -> Path:
    """A folder as a stranger has it: logins where `make broker` puts them, and a picture of a board."""
    folder = tmp_path / "work"
    (folder / "var" / "broker").mkdir(parents=True)
    shutil.copytree(broker.credentials_folder, folder / "var" / "broker" / "credentials")
    cv2.imwrite(str(folder / "board.jpg"), np.zeros((480, 640, 3), np.uint8))
    return folder


def run(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def shell_lines(word: str, broker: Broker) -> str:
    block = program("sh", word).replace("1883", str(broker.port))
    helper = program("sh", "password()").splitlines()[0]
    line = next(part for part in block.replace("\\\n", "").splitlines() if word in part and not part.startswith("#"))
    return f"{helper}\n{line}"


def test_the_ten_line_publisher_publishes_a_frame(broker: Broker, mqtt_probe: OpenProbe, workplace: Path) -> None:
    script = program("python", "publish.single")
    assert len([line for line in script.splitlines() if line.strip()]) <= 10
    listener = mqtt_probe("inference")
    listener.subscribe("pcb/frame/+")
    run([sys.executable, "-c", script.replace("1883", str(broker.port))], workplace)
    message = listener.wait_for("pcb/frame/left")
    assert decode_msgpack(Frame, message.payload).jpeg == (workplace / "board.jpg").read_bytes()


def test_the_shell_lines_publish_a_trigger_and_a_bare_frame(
    broker: Broker, mqtt_probe: OpenProbe, workplace: Path
) -> None:
    listener = mqtt_probe("inference")
    listener.subscribe("pcb/trigger", "pcb/frame/+")
    run(["bash", "-c", shell_lines("-t pcb/trigger", broker)], workplace)
    assert decode_json(Trigger, listener.wait_for("pcb/trigger").payload).board_id == "board-17"
    run(["bash", "-c", shell_lines("-t pcb/frame/left", broker)], workplace)
    assert listener.wait_for("pcb/frame/left").payload == (workplace / "board.jpg").read_bytes()


def test_the_shell_line_of_the_viewer_sees_verdicts(broker: Broker, mqtt_probe: OpenProbe, workplace: Path) -> None:
    example = blocks("json", SECTIONS["Verdict"])[0].replace("\n", "")
    command = shell_lines("-t pcb/verdict", broker) + " -C 1 -W 20"
    with subprocess.Popen(["bash", "-c", command], cwd=workplace, stdout=subprocess.PIPE) as viewer:
        inference = mqtt_probe("inference")
        while viewer.poll() is None:  # until its subscription stands
            inference.publish("pcb/verdict", example)
        assert viewer.stdout is not None
        assert viewer.stdout.read().decode().strip() == example


def test_the_shell_line_of_the_operator_gets_an_answer(broker: Broker, workplace: Path) -> None:
    login = BrokerSettings(port=broker.port, credentials=broker.credentials_folder)
    node = Service("actuator", "actuator", LineSettings(broker=login))
    node.start()
    assert node.session.wait_connected(10)
    assert node.session.publish("pcb/event/actuator", b"the broker has read the subscription")
    answer = run(["bash", "-c", shell_lines("mosquitto_rr", broker) + " -W 20"], workplace)
    node.stop()
    assert answer.strip() == '{"v":1,"result":{},"error":null}'
