"""Who may write and read what, asked of a real broker."""

import uuid

import pytest

DENIED = 0x87
SIDES = ("left", "right")
NODES = ("edge-left", "edge-right", "inference", "actuator", "recorder", "dashboard")
ROLES = (*NODES, "operator", "trigger", "viewer")

TOPICS = frozenset(
    [
        *("pcb/trigger", "pcb/verdict", "pcb/recorded", "pcb/actuation", "pcb/unreported"),
        *("pcb/resend/verdict", "pcb/resend/actuation", "pcb/resend/trigger", "pcb/config", "pcb/clock"),
        *(f"pcb/{kind}/{side}" for kind in ("frame", "preview", "serial", "evidence") for side in SIDES),
        *(f"pcb/resend/evidence/{side}" for side in SIDES),
        *(f"pcb/{kind}/{node}" for kind in ("status", "event", "command") for node in (*NODES, "stranger")),
        *(f"pcb/reply/{requester}" for requester in (*NODES, "operator")),
        *("pcb", "pcb/new", "elsewhere/verdict"),
    ]
)


def own(node: str) -> set[str]:
    return {f"pcb/status/{node}", f"pcb/event/{node}", *(f"pcb/reply/{each}" for each in REQUESTERS)}


REQUESTERS = (*NODES, "operator")
COMMANDS = {f"pcb/command/{node}" for node in NODES}
PUBLIC = {
    topic
    for topic in TOPICS
    if topic in {"pcb/trigger", "pcb/verdict", "pcb/recorded", "pcb/actuation", "pcb/config"}
    or topic.startswith(("pcb/status/", "pcb/event/", "pcb/preview/", "pcb/serial/"))
}
SERIALS = {"pcb/serial/left", "pcb/serial/right"}
EVIDENCE = {"pcb/evidence/left", "pcb/evidence/right"}
RESENT_EVIDENCE = {"pcb/resend/evidence/left", "pcb/resend/evidence/right"}

MAY_WRITE: dict[str, set[str]] = {
    "edge-left": {"pcb/frame/left", "pcb/preview/left", "pcb/serial/left", "pcb/trigger", "pcb/resend/trigger"}
    | {"pcb/clock"}
    | own("edge-left"),
    "edge-right": {"pcb/frame/right", "pcb/preview/right", "pcb/serial/right", "pcb/trigger", "pcb/resend/trigger"}
    | {"pcb/clock"}
    | own("edge-right"),
    "inference": {"pcb/verdict", "pcb/resend/verdict", "pcb/command/edge-left", "pcb/command/edge-right"}
    | SERIALS
    | EVIDENCE
    | RESENT_EVIDENCE
    | own("inference"),
    "actuator": {"pcb/actuation", "pcb/resend/actuation", "pcb/clock"} | own("actuator"),
    "recorder": {"pcb/recorded", "pcb/config", "pcb/unreported"} | own("recorder"),
    "dashboard": COMMANDS | own("dashboard"),
    "operator": COMMANDS,
    "trigger": {"pcb/trigger", "pcb/resend/trigger"},
    "viewer": set(),
}

MAY_READ: dict[str, set[str]] = {
    "edge-left": {"pcb/trigger", "pcb/recorded", "pcb/config", "pcb/status/inference"}
    | {"pcb/command/edge-left", "pcb/reply/edge-left"},
    "edge-right": {"pcb/trigger", "pcb/recorded", "pcb/config", "pcb/status/inference"}
    | {"pcb/command/edge-right", "pcb/reply/edge-right"},
    "inference": {"pcb/trigger", "pcb/frame/left", "pcb/frame/right", "pcb/recorded", "pcb/command/inference"}
    | {"pcb/config", "pcb/reply/inference", "pcb/clock", "pcb/status/edge-left", "pcb/status/edge-right"},
    "actuator": {"pcb/verdict", "pcb/recorded", "pcb/unreported", "pcb/trigger", "pcb/config", "pcb/status/inference"}
    | {"pcb/command/actuator", "pcb/reply/actuator"},
    "recorder": {"pcb/trigger", "pcb/verdict", "pcb/actuation", "pcb/resend/verdict", "pcb/resend/actuation"}
    | {"pcb/resend/trigger", "pcb/config"}
    | {topic for topic in TOPICS if topic.startswith(("pcb/status/", "pcb/event/"))}
    | {"pcb/command/recorder"}
    | SERIALS
    | EVIDENCE
    | RESENT_EVIDENCE,
    "dashboard": PUBLIC | EVIDENCE | {"pcb/command/dashboard", "pcb/reply/dashboard"},
    "operator": PUBLIC | {"pcb/reply/operator"},
    "trigger": {"pcb/recorded"},
    "viewer": PUBLIC,
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_writes_its_own_topics_only(role, mqtt_probe):
    client = mqtt_probe(role)
    reasons = {topic: client.publish(topic, b"x") for topic in TOPICS}
    assert {topic for topic, reason in reasons.items() if reason != DENIED} == MAY_WRITE[role]


def test_what_is_denied_reaches_nobody(mqtt_probe):
    actuator, viewer = mqtt_probe("actuator"), mqtt_probe("viewer")
    actuator.subscribe("pcb/#")
    assert viewer.publish("pcb/verdict", b"forged") == DENIED
    mqtt_probe("inference").publish("pcb/verdict", b"true")
    assert actuator.wait_for("pcb/verdict").payload == b"true"


@pytest.mark.parametrize("role", [role for role in ROLES if role != "trigger"])
def test_a_role_reads_what_it_needs_only(role, mqtt_probe):
    reader = mqtt_probe(role)
    reader.subscribe("#")
    end = _write_everything(mqtt_probe, last=min(MAY_READ[role]))
    reader.wait_for("#", lambda message: message.payload == end)
    heard = {message.topic for message in reader.messages}
    assert heard == {topic for topic in MAY_READ[role] if _writer_of(topic)}


def test_the_trigger_login_hears_only_what_was_recorded(mqtt_probe):
    sensor, viewer = mqtt_probe("trigger"), mqtt_probe("viewer")
    sensor.subscribe("#")
    viewer.subscribe("pcb/#")
    _write_everything(mqtt_probe, last="pcb/trigger")
    sensor.publish("pcb/trigger", b"round trip through the broker")
    assert {message.topic for message in sensor.messages} == {"pcb/recorded"}


def _write_everything(mqtt_probe, last: str) -> bytes:
    """Publish on every topic that some role may write; `last` once more at the end, with the payload that is given."""
    writers = {role: mqtt_probe(role) for role in ROLES}
    for topic in sorted(TOPICS):
        if (role := _writer_of(topic)) is not None:
            assert writers[role].publish(topic, b"x") != DENIED
    end = uuid.uuid4().bytes
    role = _writer_of(last)
    assert role is not None
    writers[role].publish(last, end)
    return end


def _writer_of(topic: str) -> str | None:
    return next((role for role in ROLES if topic in MAY_WRITE[role]), None)


@pytest.mark.parametrize("role", ["viewer", "operator", "dashboard", "recorder"])
def test_broker_statistics_are_open_to_those_who_watch(role, mqtt_probe):
    client = mqtt_probe(role)
    client.subscribe("$SYS/broker/version")
    assert client.wait_for("$SYS/broker/version").payload.startswith(b"mosquitto")


def test_replies_below_the_requesters_topic_reach_it_alone(mqtt_probe):
    operator, dashboard = mqtt_probe("operator"), mqtt_probe("dashboard")
    operator.subscribe("pcb/reply/#")
    dashboard.subscribe("pcb/reply/#")
    actuator = mqtt_probe("actuator")
    assert actuator.publish("pcb/reply/operator/7", b"for the operator", CorrelationData=b"7") == 0
    assert actuator.publish("pcb/reply/dashboard/7", b"for the dashboard") == 0
    assert operator.wait_for("pcb/reply/#").payload == b"for the operator"
    assert dashboard.wait_for("pcb/reply/#").payload == b"for the dashboard"
