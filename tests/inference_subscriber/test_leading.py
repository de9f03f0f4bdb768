"""Which edge leads, and which announcements of two edges are one board."""

from collections.abc import Callable
from typing import Any

import pytest
from support.probe import Probe

from inference_subscriber.board import BoardKey
from inference_subscriber.leading import Announced, Leader
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Event, NodeStatus, Trigger
from pcb_bus.contract.times import NS_PER_MS as MS

T = 1_790_000_000_000 * MS


def status(side: str, **fields: Any) -> NodeStatus:
    known = {"state": "online", "trigger": "presence", "sees": True, "overlooked": 0, **fields}
    who = {"service": "edge_publisher", "node": f"edge-{side}", "version": "1", "host": "pi"}
    return NodeStatus.model_validate({**who, "started_at": T, "updated_at": T, **known})


@pytest.fixture
def leader() -> Leader:
    """Of three sides; left leads."""
    leader = Leader(("left", "right", "top"))
    for side in ("top", "right", "left"):
        leader.hear(status(side))
    assert leader.choose() == "edge-left"
    return leader


class TestLeader:
    def test_nobody_leads_before_an_edge_is_heard(self) -> None:
        leader = Leader(("left", "right"))
        assert leader.choose() is None
        leader.hear(status("right"))
        assert leader.choose() == "edge-right"

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"state": "offline", "detail": "connection lost"}, "it is offline"),
            ({"state": "degraded", "sees": False, "detail": "no camera"}, "it does not see: no camera"),
            ({"trigger": "mqtt"}, "its mode is mqtt"),
        ],
    )
    def test_another_leads_when_it_is_gone_or_blind(self, leader: Leader, change: dict[str, Any], why: str) -> None:
        leader.hear(status("left", **change))
        assert leader.why_not("edge-left") == why
        assert leader.choose() == "edge-right"
        leader.hear(status("left"))
        assert leader.choose() == "edge-right", "when the first comes back, nothing changes"
        leader.hear(status("right", state="offline"))
        assert leader.choose() == "edge-top", "the next of the sides"
        leader.hear(status("top", sees=False))
        assert leader.choose() == "edge-left"

    def test_a_fault_that_has_nothing_to_do_with_seeing_costs_nobody_the_lead(self, leader: Leader) -> None:
        leader.hear(status("left", state="degraded", detail="the clock is 40 ms off"))
        assert leader.choose() == "edge-left"

    def test_another_leads_when_it_sees_boards_that_the_leader_does_not_announce(self, leader: Leader) -> None:
        """There is no telling that a lens is covered from pictures of an empty belt."""
        leader.hear(status("top", overlooked=1))
        assert leader.choose() == "edge-left"
        leader.hear(status("top", overlooked=2))
        assert "edge-top sees boards that it does not announce" in leader.why_not("edge-left")
        assert leader.choose() == "edge-top"
        assert leader.choose() == "edge-top"

    def test_the_last_one_keeps_the_lead_when_nobody_can_have_it(self, leader: Leader) -> None:
        for side in ("left", "right", "top"):
            leader.hear(status(side, state="offline"))
        assert leader.choose() == "edge-left"
        leader.hear(status("left"))
        assert leader.choose() == "edge-left"

    def test_after_a_restart_of_inference_the_one_that_they_follow_goes_on(self) -> None:
        leader = Leader(("left", "right"))
        leader.hear(status("left", leader="edge-right"))
        leader.hear(status("right", leader="edge-right"))
        assert leader.choose() == "edge-right"

    def test_an_edge_with_a_photo_eye_leads_as_long_as_it_is_there(self, leader: Leader) -> None:
        """It announces boards anyhow: another that did so too would make two of each."""
        leader.hear(status("right", trigger="gpio", sees=False))
        assert leader.why_not("edge-left") == "edge-right has a photo-eye"
        assert leader.choose() == "edge-right"
        leader.hear(status("left", overlooked=2))
        assert leader.choose() == "edge-right"
        leader.hear(status("right", trigger="gpio", state="offline"))
        assert leader.choose() == "edge-left"
        leader.hear(status("right", trigger="gpio"))
        assert leader.choose() == "edge-right"

    def test_it_does_from_the_start(self) -> None:
        leader = Leader(("left", "right"))
        leader.hear(status("left", leader="edge-left"))
        leader.hear(status("right", trigger="gpio"))
        assert leader.choose() == "edge-right"

    def test_edges_in_other_modes_lead_nobody(self) -> None:
        leader = Leader(("left", "right"))
        leader.hear(status("left", trigger="mqtt"))
        leader.hear(status("right", trigger=None))
        assert leader.choose() is None


def trigger(at_ms: float, source: str) -> Trigger:
    at = T + round(at_ms * MS)
    return Trigger(board_id=f"{source}-{at}", triggered_at=at, source=source)


def key(of: Trigger) -> BoardKey:
    return BoardKey.of(of.board_id, of.triggered_at)


class TestAnnounced:
    @pytest.fixture
    def announced(self) -> Announced:
        return Announced(("edge-left", "edge-right"))

    @pytest.mark.parametrize("later_ms", [-180, -20, 0, 90, 200])
    def test_a_board_that_two_edges_announce_is_one(self, announced: Announced, later_ms: float) -> None:
        first, second = trigger(0, "edge-left"), trigger(later_ms, "edge-right")
        assert [announced.add(first), announced.add(second), announced.add(second)] == [key(first)] * 3
        assert announced.key_of(key(second)) == key(first)

    @pytest.mark.parametrize(
        ("later_ms", "source"), [(201, "edge-right"), (50, "edge-left"), (50, "photo-eye"), (0, "plc")]
    )
    def test_others_are_two(self, announced: Announced, later_ms: float, source: str) -> None:
        """Further apart, of the same edge, or of a sensor: today's meaning."""
        first, second = trigger(0, "edge-left"), trigger(later_ms, source)
        assert [announced.add(first), announced.add(second)] == [key(first), key(second)]

    def test_each_goes_with_the_nearest_and_with_one_only(self, announced: Announced) -> None:
        """Boards 300 ms apart on a fast belt, and a second edge that is 120 ms late with each."""
        of_left = [trigger(at, "edge-left") for at in (0, 300, 600)]
        of_right = [trigger(at + 120, "edge-right") for at in (0, 300, 600, 900)]
        for each in of_left:
            announced.add(each)
        assert [announced.add(each) for each in of_right] == [*map(key, of_left), key(of_right[3])]

    def test_an_edge_that_was_cut_off_for_long_announces_nothing_twice(self, announced: Announced) -> None:
        """It went on to lead, and what it announced comes when the network is back."""
        boards = [trigger(500 * number, "edge-right") for number in range(1000)]
        for each in boards:
            announced.add(each)
        late = [trigger(500 * number + 100, "edge-left") for number in range(1000)]
        assert [announced.add(each) for each in late] == [key(each) for each in boards]

    def test_it_remembers_a_bounded_number(self) -> None:
        announced = Announced(("edge-left",), remembered=100)
        for number in range(300):
            announced.add(trigger(1000 * number, "edge-left"))
        assert len(announced._first) == len(announced._around) == 100


class TestService:
    """The node on a real broker, with foreign edges."""

    @pytest.fixture
    def edges(self, mqtt_probe: Callable[..., Probe]) -> dict[str, Probe]:
        edges = {side: mqtt_probe(f"edge-{side}") for side in ("left", "right")}
        for edge in edges.values():
            edge.subscribe("pcb/status/inference")
        return edges

    def say(self, edges: dict[str, Probe], side: str, **fields: Any) -> None:
        edges[side].publish(f"pcb/status/edge-{side}", encode_json(status(side, **fields)), retain=True)

    def wait_for(self, edge: Probe, leader: str) -> None:
        edge.wait_for("pcb/status/inference", lambda each: decode_json(NodeStatus, each.payload).leader == leader)

    def test_it_appoints_one_and_another_when_that_is_gone(
        self, start_service: Callable[..., Any], edges: dict[str, Probe], mqtt_probe: Callable[..., Probe]
    ) -> None:
        viewer = mqtt_probe("viewer")
        viewer.subscribe("pcb/event/inference")
        for side in edges:
            self.say(edges, side)
        start_service()
        self.wait_for(edges["left"], "edge-left")
        self.say(edges, "left", state="offline", detail="connection lost")
        self.wait_for(edges["right"], "edge-right")
        events = [decode_json(Event, each.payload) for each in viewer.wait_for_count("pcb/event/inference", 2)]
        assert [(each.level, each.message) for each in events] == [
            ("info", "edge-left announces the boards"),
            ("warning", "edge-right announces the boards, edge-left no more: it is offline"),
        ]
        later = mqtt_probe("edge-left")
        later.subscribe("pcb/status/inference")
        self.wait_for(later, "edge-right")
