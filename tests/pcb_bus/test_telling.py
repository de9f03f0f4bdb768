"""A line for each message, whatever it is."""

import ast
import re
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hand_fed import jpeg_of

from pcb_bus.telling import tell

TEXT = Path(__file__).parents[2].joinpath("topics.md").read_text(encoding="utf-8")


def example(kind: str, **changes: object) -> bytes:
    """That of `topics.md`."""
    section = TEXT.split(f"\n### {kind}\n")[1].split("\n### ")[0]
    if found := re.search(r"```json\n(.*?)```", section, re.DOTALL):
        return found.group(1).encode()
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    packed: bytes = msgpack.packb(ast.literal_eval(found.group(1)) | changes)
    return packed


@pytest.mark.parametrize(
    ("topic", "payload", "said"),
    [
        ("trigger", example("Trigger"), "board-17 by plc"),
        ("frame/left", example("Frame"), "board-17: 640x480, 0 kB"),
        ("preview/left", jpeg_of(64, 48), r"64x48, \d+ kB"),
        (
            "verdict",
            example("Verdict"),
            r"board-17: solder \(납땜불량\) 0\.93 after 41 ms; left short 0\.93; right nothing",
        ),
        ("evidence/left", example("Evidence", jpeg=jpeg_of(64, 48)), r"board-17: 64x48, \d+ kB"),
        ("recorded", example("Recorded"), "verdicts 1, triggers 1, evidence 1"),
        ("resend/verdict", example("Verdict"), "board-17: .*"),
        ("actuation", example("Actuation"), r"board-17: fired \(solder\), pin 27 for 500 ms"),
        ("status/edge-left", example("NodeStatus"), "degraded; no camera: /dev/video0.*"),
        ("event/edge-left", example("Event"), 'error: the camera is gone source="/dev/video0"'),
        ("config", example("LiveConfig"), r"jpeg_quality=90 confidence=0\.45"),
        ("serial/left", example("Serial"), r"board-17: \S+ \(.*\)"),
        ("status/edge-left", b"", "cleared"),
        ("verdict", b'{"v": 1}', '{"v": 1}'),
        ("something", b"\xff\x00", r"b'\\xff\\x00'"),
        ("event/edge-left", b"a\x1b[31m", r".*\\x1b.*"),
    ],
)
def test_a_message_in_words(topic: str, payload: bytes, said: str) -> None:
    about, words = tell(f"pcb/{topic}", payload, "pcb")
    assert about == topic.replace("/", " ")
    assert re.fullmatch(said, words), words


@given(st.sampled_from(["verdict", "status/x", "frame/left", "preview/left", "x"]), st.binary(max_size=60))
def test_nothing_that_comes_breaks_the_line(topic: str, payload: bytes) -> None:
    assert tell(f"pcb/line2/{topic}", b"\xff\xd8" + payload, "pcb/line2")[1].isprintable()
    assert tell(f"pcb/line2/{topic}", payload, "pcb/line2")[1].isprintable()
