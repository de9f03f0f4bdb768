"""What is written down of a message that cannot be a row of its own kind."""

import json
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.times import from_rfc3339
from pcb_bus.errors import MessageRejected
from recorder.arrival import Arrival
from recorder.rejection import readable_id, rejected_record

WHY = MessageRejected("schema", "confidence: too large")


def test_it_has_the_reason_and_the_beginning_of_the_payload(arrive: Callable[..., Arrival]) -> None:
    row = rejected_record(arrive("verdict", b"x" * 100_000), WHY, "pcb").row
    assert (row["kind"], row["topic"], row["reason"], row["detail"]) == (
        "verdict",
        "pcb/verdict",
        "schema",
        "confidence: too large",
    )
    assert (len(row["payload"]), row["size_bytes"], row["verdict_id"]) == (65_536, 100_000, None)


def test_its_digest_is_that_of_topic_and_payload(arrive: Callable[..., Arrival]) -> None:
    digests = {
        rejected_record(arrive("event", payload, topic), WHY, "pcb").row["digest"]
        for payload, topic in (
            (b"1", "pcb/event/a"),
            (b"1", "pcb/event/a"),
            (b"2", "pcb/event/a"),
            (b"1", "pcb/event/b"),
        )
    }
    assert len(digests) == 3


@pytest.mark.parametrize("kind", ["verdict", "actuation"])
def test_the_id_is_read_from_what_else_makes_no_sense(arrive: Callable[..., Arrival], kind: str) -> None:
    payload = json.dumps({"verdict_id": "verdict-1", "category": 7}).encode()
    assert readable_id(arrive(kind, payload), "pcb") == "verdict-1"


def test_the_id_of_evidence(arrive: Callable[..., Arrival]) -> None:
    assert readable_id(arrive("evidence", msgpack.packb({"verdict_id": "verdict-1"})), "pcb") == "verdict-1"


def test_the_id_of_a_trigger_is_that_of_its_pass(arrive: Callable[..., Arrival]) -> None:
    when = "2026-11-21T08:00:00.123Z"
    payload = json.dumps({"board_id": "board-1", "triggered_at": when, "source": 7}).encode()
    assert readable_id(arrive("trigger", payload), "line/2") == verdict_id("line/2", "board-1", from_rfc3339(when))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"verdict_id": 7}',
        b'{"verdict_id": "\\ud800"}',
        b'{"verdict_id": "\\u0000"}',
        b'{"verdict_id": "a "}',
        b'{"verdict_id": "%s"}' % (b"a" * 129),
        b'{"board_id": "a", "triggered_at": 7}',
        b"[" * 100_000,
        b'{"verdict_id": "a"}' + b" " * 300_000,
    ],
)
@pytest.mark.parametrize("kind", ["trigger", "verdict", "actuation", "evidence", "event"])
def test_what_has_none_has_none(arrive: Callable[..., Arrival], kind: str, payload: bytes) -> None:
    assert readable_id(arrive(kind, payload), "pcb") is None


@given(
    st.sampled_from(["trigger", "verdict", "actuation", "evidence", "event"]),
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5).map(
        lambda value: json.dumps({"verdict_id": value, "board_id": value, "triggered_at": value}).encode()
    ),
)
def test_anything_has_a_row(kind: str, payload: bytes) -> None:
    row = rejected_record(Arrival(kind, f"pcb/{kind}", payload, 0), WHY, "pcb").row  # type: ignore[arg-type]
    assert row["payload"] == payload
    assert row["verdict_id"] is None or row["verdict_id"].encode()
