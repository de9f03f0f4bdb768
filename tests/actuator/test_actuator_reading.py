import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actuator.reading import Broken, Subject, read_verdict, subject_of
from pcb_bus.contract.codec import MAX_JSON_BYTES, encode_json
from pcb_bus.contract.messages import Verdict

MakeVerdict = Callable[..., Verdict]


def altered(verdict: Verdict, **changes: Any) -> bytes:
    return json.dumps({**json.loads(encode_json(verdict)), **changes}).encode()


def test_whole_verdict(make_verdict: MakeVerdict) -> None:
    verdict = read_verdict(encode_json(make_verdict()))
    assert isinstance(verdict, Verdict)
    assert subject_of(verdict) == Subject("v1", "board-v1", "scrap")


@pytest.mark.parametrize(
    ("changes", "category"),
    [
        ({"category": "golden"}, "golden"),
        ({"category": 7}, "unknown"),
        ({"category": ""}, "unknown"),
        ({"confidence": float("nan")}, "scrap"),
        ({"captured_at": 1}, "scrap"),
        ({"deadline_at": None}, "scrap"),
        ({"gpio_signal": {"pin": 99, "action": "HIGH", "duration_ms": 1}}, "scrap"),
        ({"v": 2}, "scrap"),
    ],
)
def test_broken_verdict_whose_ids_can_be_read(
    changes: dict[str, Any], category: str, make_verdict: MakeVerdict
) -> None:
    broken = read_verdict(altered(make_verdict(), **changes))
    assert isinstance(broken, Broken)
    assert broken.rejection.reason == "schema"
    assert broken.subject == Subject("v1", "board-v1", category)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_json"),
        (b"\xff\xd8\xff", "not_json"),
        (b"NaN", "schema"),
        (b"[]", "schema"),
        (b'{"verdict_id": "a"}', "schema"),
        (b'{"verdict_id": 1, "board_id": "b"}', "schema"),
        (b'{"verdict_id": "' + b"a" * 129 + b'", "board_id": "b"}', "schema"),
        (b'{"verdict_id": "\\ud800", "board_id": "b"}', "not_json"),
        (b'{"verdict_id": "a", "board_id": "b", "x": "' + b"x" * MAX_JSON_BYTES + b'"}', "too_large"),
        (b"[" * 10_000, "not_json"),
    ],
)
def test_nothing_to_be_read(payload: bytes, reason: str) -> None:
    broken = read_verdict(payload)
    assert isinstance(broken, Broken)
    assert (broken.rejection.reason, broken.subject) == (reason, None)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps).map(str.encode)
)
def test_never_raises(payload: bytes) -> None:
    assert isinstance(read_verdict(payload), Broken)
