"""Whatever a stranger sends becomes a record or a `MessageRejected`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Actuation, Evidence, Verdict
from pcb_bus.errors import MessageRejected
from recorder.arrival import Arrival, Kind
from recorder.batch import ImageRecord, VerdictRecord
from recorder.images import ImageStore
from recorder.reading import Reader


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(ImageStore(tmp_path / "images"), ("left", "right"), "pcb")


def test_a_verdict_is_a_row_and_its_sides(
    reader: Reader, arrive: Callable[..., Arrival], make_verdict: Callable[..., Verdict]
) -> None:
    record = reader.read(arrive("verdict", make_verdict()))
    assert isinstance(record, VerdictRecord)
    assert record.row["verdict_id"] == "verdict-1"
    assert [side["camera_id"] for side in record.sides] == ["left", "right"]


def test_evidence_is_on_disk_before_its_row(
    reader: Reader, arrive: Callable[..., Arrival], make_evidence: Callable[..., Evidence], tmp_path: Path
) -> None:
    evidence = make_evidence()
    record = reader.read(arrive("evidence", encode_msgpack(evidence)))
    assert isinstance(record, ImageRecord)
    assert (tmp_path / "images" / record.row["path"]).read_bytes() == evidence.jpeg


@pytest.mark.parametrize("kind", ["trigger", "verdict", "actuation", "evidence", "event"])
@pytest.mark.parametrize("payload", [b"", b"\xff\xd8", b"null", b"[]", b"{}", b'{"v":1}', b"\x81\xa1v\x01", b"\xc1"])
def test_nonsense_is_rejected(reader: Reader, arrive: Callable[..., Arrival], kind: Kind, payload: bytes) -> None:
    with pytest.raises(MessageRejected):
        reader.read(arrive(kind, payload))


@pytest.mark.parametrize(
    ("found", "put"),
    [
        (b'"category":"solder"', b'"category":"nonsense"'),
        (b'"confidence":0.9', b'"confidence":NaN'),
        (b'"confidence":0.9', b'"confidence":"0.9"'),
        (b'"verdict_id":"verdict-1"', b'"verdict_id":"verdict-1 "'),
        (b'"verdict_id":"verdict-1",', b""),
        (b'"v":1', b'"v":2'),
    ],
)
def test_a_verdict_with_a_wrong_field_is_rejected(
    reader: Reader, arrive: Callable[..., Arrival], make_verdict: Callable[..., Verdict], found: bytes, put: bytes
) -> None:
    payload = encode_json(make_verdict())
    assert found in payload
    with pytest.raises(MessageRejected):
        reader.read(arrive("verdict", payload.replace(found, put)))


def test_a_payload_over_the_limit_is_rejected(
    reader: Reader, arrive: Callable[..., Arrival], make_actuation: Callable[..., Actuation]
) -> None:
    with pytest.raises(MessageRejected, match="too_large"):
        reader.read(arrive("actuation", encode_json(make_actuation()) + b" " * 300_000))


def test_evidence_of_a_side_that_the_line_does_not_have_is_rejected(
    reader: Reader, arrive: Callable[..., Arrival], make_evidence: Callable[..., Evidence]
) -> None:
    with pytest.raises(MessageRejected, match="unknown_side"):
        reader.read(arrive("evidence", encode_msgpack(make_evidence(side="top"))))
