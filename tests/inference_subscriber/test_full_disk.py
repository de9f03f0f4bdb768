"""A disk without a byte left under the outbox: the line goes on, a person hears of it, and it heals by itself."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.peer import until
from support.probe import Probe
from support.tmpfs import SmallDisk

from inference_subscriber.service import InferenceService
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Recorded
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.durable.resending import Pace

Line = Any  # see conftest
StartService = Callable[..., InferenceService]
QUICK = Pace(after_ns=100 * NS_PER_MS, gap_ns=10 * NS_PER_MS)
AGO_NS = 60 * NS_PER_S  # no frame can be had any more: such a board is judged at once
EVENTS, STATES, RESENDS = "pcb/event/inference", "pcb/status/inference", "pcb/resend/verdict"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk", megabytes=2)
    try:
        disk.__enter__()
    except OSError as error:
        pytest.skip(f"needs a disk of its own: {error}")
    yield disk
    disk.__exit__(None, None, None)


@pytest.fixture
def recorder(mqtt_probe: Callable[..., Probe]) -> Probe:
    probe = mqtt_probe("recorder")
    probe.subscribe(EVENTS, STATES, RESENDS)
    return probe


def judge_one(line: Line, board_id: str) -> str:
    line.trigger(board_id, now_ns() - AGO_NS)
    return str(line.verdict_on(board_id)["verdict_id"])


def wait_for_state(recorder: Probe, state: str, detail: str) -> None:
    until(lambda: bool(states := recorder.received(STATES)) and _is(states[-1].payload, state, detail))


def _is(payload: bytes, state: str, detail: str) -> bool:
    said = json.loads(payload)
    return (said["state"], said["detail"]) == (state, detail)


def test_a_full_disk_stops_no_verdict_and_heals_by_itself(
    disk: SmallDisk, line: Line, start_service: StartService, recorder: Probe
) -> None:
    service = start_service(pace=QUICK, outbox=disk.path / "outbox.db")
    wait_for_state(recorder, "online", "")
    kept = judge_one(line, "kept")
    with disk.full():
        for number in range(3):
            judge_one(line, f"not kept {number}")
        event = json.loads(recorder.wait_for(EVENTS, lambda each: b'"critical"' in each.payload).payload)
        assert "disk is full" in event["details"]["fault"]
        wait_for_state(recorder, "degraded", "the outbox takes no more")
        recorder.publish("pcb/recorded", encode_json(Recorded(verdicts=(kept,))))  # cannot be cleared now
    judge_one(line, "kept again")
    recorder.wait_for(EVENTS, lambda each: b'"info"' in each.payload)
    wait_for_state(recorder, "online", "")
    recorder.wait_for_count(RESENDS, 2, lambda each: b"kept again" in each.payload)
    recorder.publish("pcb/recorded", encode_json(Recorded(verdicts=(kept,))))
    until(lambda: len(service._outbox) == 1)
    assert not [each for each in recorder.received(RESENDS) if b"not kept" in each.payload]


def test_a_node_that_starts_on_a_full_disk_still_has_what_it_kept(
    disk: SmallDisk, line: Line, start_service: StartService, recorder: Probe
) -> None:
    path = disk.path / "outbox.db"
    service = start_service(pace=Pace(after_ns=3600 * NS_PER_S), outbox=path)
    wait_for_state(recorder, "online", "")
    judge_one(line, "kept")
    with disk.full():
        service.stop()
        start_service(pace=QUICK, outbox=path)
        recorder.wait_for(RESENDS, lambda each: b'"kept"' in each.payload)
        judge_one(line, "not kept")
