"""The hostile values of the fault suite are valid, touch every field, and are on every topic that a service hears."""

from collections import Counter
from random import Random

import pytest

from faults.kinds.hostile import KINDS, base_of, encode, ids_of, kind_of, messages
from faults.kinds.malformed import topics_by_login
from faults.values import at_the_edges, crowded
from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Evidence, Frame, Message, Recorded, Trigger
from pcb_bus.contract.topics import Topics

ALL = sorted(set(KINDS.values()), key=lambda kind: kind.__name__)
ONE_EDGE = {"v"}


@pytest.mark.parametrize("kind", ALL)
def test_every_field_is_at_its_edges_once(kind: type[Message]) -> None:
    tried = Counter(path.partition(".")[0] for path, _ in at_the_edges(kind, base_of(kind, 0)))
    assert tried.keys() == kind.model_fields.keys()
    assert [name for name, count in tried.items() if count < 2] == sorted(ONE_EDGE)


@pytest.mark.parametrize("kind", ALL)
def test_whatever_is_sent_is_read(kind: type[Message]) -> None:
    read = decode_msgpack if kind in {Frame, Evidence} else decode_json
    rng = Random(1)
    for message in messages(kind, rng, 0):
        read(kind, encode(message, rng))


@pytest.mark.parametrize("kind", ALL)
def test_all_fields_at_once(kind: type[Message]) -> None:
    rng = Random(1)
    assert sum(crowded(kind, base_of(kind, 0), rng) is not None for _ in range(100)) > 50


def test_every_topic_has_its_kind_of_message() -> None:
    topics = {topic for each in topics_by_login(Topics()).values() for topic in each}
    assert {kind_of(topic) for topic in topics} == set(ALL)


def test_under_which_ids_it_may_be_on_record() -> None:
    trigger = Trigger(board_id="b", triggered_at=10**18, source="s")
    assert ids_of(trigger, "pcb") == {"b", verdict_id("pcb", "b", 10**18)}
    assert ids_of(Recorded(verdicts=("a",), triggers=("b",)), "pcb") == {"a", "b"}
