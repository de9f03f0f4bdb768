"""Who is who at a real broker: sessions that nobody can steal, passwords that change, lines that share a broker."""

from pathlib import Path

import pytest
import yaml
from support.peer import Peer, broker_settings, until
from support.ports import free_port
from support.probe import Probe

from broker import Broker
from broker.provision import rotate
from broker.roles import GUESTS, roles_of_lines
from pcb_bus.contract.topics import Topic, exactly
from pcb_bus.errors import ConfigError
from pcb_bus.mqtt.login import read_login
from pcb_bus.mqtt.session import Delivery, SessionOptions, Subscription
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.redaction import redact

DENIED = 0x87
LINES = {"pcb": ("left", "right"), "pcb/line2": ("top",)}


class Recorder:
    """A durable session of the recorder that hears verdicts."""

    def __init__(self, broker: Broker, credentials: Path | None = None) -> None:
        self.heard: Inbox[Delivery] = Inbox(1000)
        where = {"credentials": credentials or broker.credentials_folder}
        login = read_login(broker_settings(broker).model_copy(update=where), "recorder")
        self.peer = Peer("recorder", login, SessionOptions(durable=True), self._interest)
        self.peer.wait_up()

    @property
    def _interest(self) -> Subscription:
        return Subscription(exactly(Topic("pcb/verdict")), self.heard.put)


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_cannot_take_a_nodes_session_over_nor_what_waits_in_it(broker, mqtt_probe, guest):
    first = Recorder(broker)
    first.peer.session.stop()
    inference = mqtt_probe("inference")
    for number in range(50):
        inference.publish("pcb/verdict", str(number))
    for stolen in ("pcb-recorder", "recorder", "pcb/recorder"):
        mqtt_probe(guest, client_id=stolen, clean_start=True).close()

    again = Recorder(broker)
    heard = [again.heard.take(10) for _ in range(50)]
    again.peer.session.stop()
    assert [int(each.payload) for each in heard if each] == list(range(50))


def test_the_name_of_a_nodes_session_is_a_secret_that_no_other_file_and_no_log_holds(broker, caplog):
    node = broker.credentials("recorder")
    assert len(node.client_id or "") > 24
    assert repr(node).count(str(node.client_id)) == repr(node).count(str(node.password)) == 0
    recorder = Recorder(broker)
    recorder.peer.session.stop()
    others = [each for each in broker.credentials_folder.iterdir() if each.stem != "recorder"]
    assert not any(str(node.client_id) in each.read_text() for each in others)
    assert str(node.client_id) not in caplog.text
    assert redact(f"Client {node.client_id} with {node.password} said") == "Client *** with *** said"


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_may_have_any_number_of_sessions(broker, mqtt_probe, guest):
    sessions = [mqtt_probe(guest) for _ in range(5)]
    assert [each.disconnects for each in sessions] == [[]] * 5


def test_a_password_is_changed_without_a_stop(broker, mqtt_probe):
    copy = _moved_away(broker, "recorder")  # on the node's own machine
    recorder = Recorder(broker, copy.parent)

    (file,) = rotate(broker.directory, roles_of_lines({"pcb": ("left", "right")}), ["recorder"])
    broker.reload()
    until(lambda: not recorder.peer.session.connected)
    copy.write_text(file.read_text())

    until(lambda: recorder.peer.session.connected, 30)
    mqtt_probe("inference").publish("pcb/verdict", b"afterwards")
    assert recorder.heard.take(10).payload == b"afterwards"
    recorder.peer.session.stop()


def test_a_file_that_is_half_copied_changes_nothing(broker, caplog):
    copy = _moved_away(broker, "recorder")
    recorder = Recorder(broker, copy.parent)
    copy.write_text("username: recor")
    broker.restart()
    until(lambda: "still the login that we had" in caplog.text)
    until(lambda: recorder.peer.session.connected, 30)
    recorder.peer.session.stop()


def _moved_away(broker: Broker, role: str) -> Path:
    copy = broker.directory / "another machine" / f"{role}.yaml"
    copy.parent.mkdir()
    copy.write_text((broker.credentials_folder / f"{role}.yaml").read_text())
    return copy


def test_the_old_password_is_worth_nothing_after_the_change(broker, mqtt_probe):
    old = broker.credentials("viewer").password
    looking = mqtt_probe("viewer")
    rotate(broker.directory, roles_of_lines({"pcb": ("left", "right")}), ["viewer"])
    broker.reload()
    looking.wait_disconnected()
    with pytest.raises(ConnectionRefusedError, match="Not authorized"):
        mqtt_probe("viewer", password=old)
    mqtt_probe("viewer")


def test_a_login_that_is_none_cannot_be_changed(tmp_path):
    with pytest.raises(ConfigError, match="viewr is no login; there are edge-left,"):
        rotate(tmp_path, roles_of_lines({"pcb": ("left",)}), ["viewr"])


def test_of_several_names_one_that_is_none_changes_nothing(broker):
    before = broker.credentials("viewer").password
    with pytest.raises(ConfigError, match="viewr is no login"):
        rotate(broker.directory, roles_of_lines({"pcb": ("left", "right")}), ["viewer", "viewr"])
    assert broker.credentials("viewer").password == before


# Several lines


@pytest.fixture
def plant(tmp_path: Path):
    with Broker(tmp_path / "broker", free_port(), lines=LINES) as running:
        yield running


def test_each_line_has_its_own_logins(plant):
    names = {yaml.safe_load(each.read_text())["username"] for each in plant.credentials_folder.rglob("*.yaml")}
    assert {"viewer", "edge-left", "recorder", "viewer@pcb/line2", "edge-top@pcb/line2", "recorder@pcb/line2"} <= names
    assert "edge-left@pcb/line2" not in names


def test_a_login_of_one_line_neither_hears_nor_says_anything_on_the_other(plant):
    with Probe(plant, "viewer") as first, Probe(plant, "viewer", line="pcb/line2") as second:
        first.subscribe("#")
        second.subscribe("#")
        with Probe(plant, "inference") as one, Probe(plant, "inference", line="pcb/line2") as two:
            assert one.publish("pcb/line2/verdict", b"") == two.publish("pcb/verdict", b"") == DENIED
            assert one.publish("pcb/verdict", b"of one") != DENIED
            assert two.publish("pcb/line2/verdict", b"of two") != DENIED
        assert first.wait_for("pcb/#").payload == b"of one"
        assert second.wait_for("pcb/#").payload == b"of two"
        assert (first.received("pcb/line2/#"), second.received("pcb/verdict")) == ([], [])


def test_nodes_of_both_lines_on_one_machine_find_their_own_logins(plant):
    settings = broker_settings(plant)
    assert read_login(settings, "inference", "pcb").username == "inference"
    assert read_login(settings, "inference", "pcb/line2").username == "inference@pcb/line2"


def test_a_login_of_another_line_is_told_at_once(plant):
    settings = broker_settings(plant)
    of_line2 = settings.model_copy(update={"credentials": plant.credentials_folder / "pcb" / "line2"})
    with pytest.raises(ConfigError, match=r"is a login of the line pcb/line2; this line's root is pcb$"):
        read_login(of_line2, "inference", "pcb")


def test_a_login_of_another_broker_may_have_an_at_sign(plant, tmp_path):
    (tmp_path / "inference.yaml").write_text("username: line@factory.example\npassword: secret\n")
    settings = broker_settings(plant).model_copy(update={"credentials": tmp_path})
    assert read_login(settings, "inference", "pcb").username == "line@factory.example"
