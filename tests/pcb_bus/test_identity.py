import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.contract.identity import free_run_board_id, new_id, verdict_id
from pcb_bus.contract.times import from_rfc3339, to_rfc3339

NS = 1_795_248_000_123_456_789


def test_ids_are_the_same_in_every_process() -> None:
    code = f"from pcb_bus.contract.identity import verdict_id; print(verdict_id('pcb', 'board-1', {NS}))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert other.stdout.strip() == verdict_id("pcb", "board-1", NS) == "e120529a-b0a9-51ed-b344-08915d7d6fc0"


@given(st.integers(min_value=0, max_value=2**62))
def test_a_trigger_that_went_through_json_gives_the_same_id(ns: int) -> None:
    assert verdict_id("pcb", "b", from_rfc3339(to_rfc3339(ns))) == verdict_id("pcb", "b", ns)


def test_root_board_and_moment_each_make_another_id() -> None:
    ids = {
        verdict_id("pcb", "b", NS),
        verdict_id("pcb/line2", "b", NS),
        verdict_id("pcb", "c", NS),
        verdict_id("pcb", "b", NS + 1_000_000),
        verdict_id("pcb", "b", None),
    }
    assert len(ids) == 5


def test_a_board_that_nobody_announced_is_named_after_a_frame() -> None:
    assert free_run_board_id("f1") == "free-f1"
    assert free_run_board_id("f" * 122 + " " + "g" * 5) == "free-" + "f" * 122, "no id ends with a space"


def test_frame_ids_differ() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000
