"""Messages that break no rule, and that nobody would send: every field at every edge, on every topic that is heard."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from random import Random
from typing import Any

from support.probe import Probe

from faults.catalogue import fault
from faults.kinds.malformed import topics_by_login
from faults.line import FaultLine
from faults.operator import NotAsPromised
from faults.values import at_the_edges, crowded
from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.identity import free_run_board_id, verdict_id
from pcb_bus.contract.messages import (
    Actuation,
    Command,
    CommandReply,
    Event,
    Evidence,
    Frame,
    LiveConfig,
    Message,
    NodeStatus,
    Recorded,
    Serial,
    Trigger,
    Unreported,
    Verdict,
)
from pcb_bus.contract.times import NS_PER_S

CROWDED = 10
_NOBODY_LISTENS = 0x10
_IDS = ("verdict_id", "board_id", "frame_id")
_KNOWN_COMMANDS = ("arm", "disarm", "test_pulse", "ping", "resend")
KINDS: Mapping[str, type[Message]] = {
    "trigger": Trigger,
    "resend/trigger": Trigger,
    "frame": Frame,
    "serial": Serial,
    "verdict": Verdict,
    "resend/verdict": Verdict,
    "evidence": Evidence,
    "recorded": Recorded,
    "actuation": Actuation,
    "resend/actuation": Actuation,
    "unreported": Unreported,
    "status": NodeStatus,
    "event": Event,
    "config": LiveConfig,
    "command": Command,
    "clock": Command,
    "reply": CommandReply,
}
"""What is heard on a topic, by its first levels below the root."""


def kind_of(topic: str) -> type[Message]:
    """What is heard there.

    Raises:
        KeyError: nobody knows.
    """
    _, first, *rest = topic.split("/")
    return KINDS.get(f"{first}/{rest[0]}" if rest else first) or KINDS[first]


def base_of(kind: type[Message], number: int) -> dict[str, Any]:
    """An ordinary message of now, with ids that no real board has."""
    now, made_up = time.time_ns(), f"made-up-{number}"
    ids = {"verdict_id": made_up, "board_id": made_up}
    times = {"captured_at": now, "judged_at": now, "triggered_at": now, "deadline_at": now + NS_PER_S, "at": now}
    known: dict[str, Any] = {
        **ids,
        **times,
        "updated_at": now,
        "started_at": now,
        "fired_at": now,
        "frame_id": made_up,
        "serial": made_up,
        "symbology": "qr",
        "source": "made-up",
        "service": "made-up",
        "node": "made-up",
        "version": "1",
        "host": "made-up",
        "detail": "",
        "side": "left",
        "width": 8,
        "height": 8,
        "jpeg": b"\xff\xd8\xff\xd9",
        "status": "ok",
        "final_defect_type": "납땜불량",
        "category": "solder",
        "confidence": 0.5,
        "gpio_signal": None,
        "sides": {},
        "latency_ms": 40.0,
        "model": {"name": "made-up", "sha256": "0" * 64},
        "outcome": "late",
        "pin": 22,
        "duration_ms": 500,
        "verdicts": [],
        "state": "online",
        "level": "info",
        "message": "made up",
        "details": {},
        "values": {},
        "command": _KNOWN_COMMANDS[number % len(_KNOWN_COMMANDS)],
    }
    return {name: known[name] for name in kind.model_fields if name in known}


def messages(kind: type[Message], rng: Random, first: int) -> Iterator[Message]:
    """Every field at every edge, one after the other, and then all fields at once."""
    base = base_of(kind, first)
    edges = (message for _, message in at_the_edges(kind, base))
    for number, message in enumerate(edges, first):
        ordinary = {name: f"made-up-{number}" for name in _IDS if getattr(message, name, None) == base.get(name, "")}
        if getattr(message, "command", None) == base.get("command", ""):
            ordinary["command"] = _KNOWN_COMMANDS[number % len(_KNOWN_COMMANDS)]
        yield message.model_copy(update=ordinary)
    yield from (each for _ in range(CROWDED) if (each := crowded(kind, base, rng)) is not None)


def encode(message: Message, rng: Random) -> bytes:
    """As its sender would; JSON now and then with a field that only a newer reader knows, or in ASCII."""
    if isinstance(message, Frame | Evidence):
        return encode_msgpack(message)
    payload = encode_json(message)
    if rng.random() < 0.5:
        return payload
    fields = json.loads(payload)
    return json.dumps({**fields, "newer": {"deep": [[[{}]]], "v": 2}}, ensure_ascii=rng.random() < 0.5).encode()


def ids_of(message: Message, root: str) -> set[str]:
    """Under which ids of verdicts and boards it may be on record."""
    data = message.model_dump()
    found = {data[name] for name in ("verdict_id", "board_id") if data.get(name)}
    for name in ("verdicts", "actuations", "triggers"):
        for each in data.get(name, ()):
            found |= {each} if isinstance(each, str) else {each["verdict_id"], each["board_id"]}
    if data.get("board_id") and "triggered_at" in data:
        found.add(verdict_id(root, data["board_id"], data["triggered_at"]))
    elif "frame_id" in data:
        named = free_run_board_id(data["frame_id"])
        found |= {named, verdict_id(root, named, data["captured_at"])}
    return found


@fault("hostile values", lasts=(2.0, 3.0))
def hostile(line: FaultLine, rng: Random) -> Iterator[None]:
    restarts = line.supervisor.restarts
    with ExitStack() as opened:
        logins = topics_by_login(line.topics)
        senders = {login: opened.enter_context(Probe(line.broker, login)) for login in logins}
        opened.callback(_put_config_back, line, senders["recorder"])
        opened.callback(line.operator.ask_surely, "arm")
        number = 0
        for login, topics in logins.items():
            for topic in topics:
                for message in messages(kind_of(topic), rng, number):
                    number += 1
                    line.foreign |= ids_of(message, line.topics.root)
                    refused = senders[login].publish(topic, encode(message, rng), qos=1)
                    if refused not in {0, _NOBODY_LISTENS}:
                        raise PermissionError(f"{topic} may not be written, reason {refused:#x}")
        yield
    if died := line.supervisor.restarts - restarts:
        raise NotAsPromised(f"{died} services died of it")


def _put_config_back(line: FaultLine, recorder: Probe) -> None:
    """The settings that held before are retained; the recorder says them again only when they change."""
    topic = str(line.topics.config)
    with Probe(line.broker, "viewer") as viewer:
        viewer.subscribe(topic)
        payload = viewer.wait_for(topic, lambda each: each.retain).payload
    recorder.publish(topic, payload, qos=1, retain=True)
