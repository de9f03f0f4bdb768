import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from pcb_bus.contract.topics import Topic, TopicFilter, Topics, exactly


def test_topics_stand_under_their_root() -> None:
    topics = Topics("pcb/line2")
    assert str(topics.frame("left")) == "pcb/line2/frame/left"
    assert str(topics.resend_verdict) == "pcb/line2/resend/verdict"
    assert str(topics.frames) == "pcb/line2/frame/+"
    assert topics.reply("dashboard").name == "pcb/line2/reply/dashboard"


def test_the_leaf_is_the_side_or_the_node() -> None:
    assert Topics().frame("left").leaf == "left"
    assert Topics().status("edge-left").leaf == "edge-left"


@pytest.mark.parametrize("root", ["", "/pcb", "pcb/", "pcb//x", "pcb/+", "#", "$SYS", "pcb\0"])
def test_a_root_that_is_no_topic_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="not a topic"):
        Topics(root)


@pytest.mark.parametrize("side", ["+", "#", "a\0"])
def test_nothing_is_published_to_a_wildcard(side: str) -> None:
    with pytest.raises(ValueError, match="not a topic to publish to"):
        Topics().frame(side)


def test_filters_match_as_in_mqtt() -> None:
    assert Topics().frames.matches(Topics().frame("left"))
    assert not Topics().frames.matches("pcb/frame/left/raw")
    assert not Topics().frames.matches(Topics("pcb/line2").frame("left"))
    assert Topics().everything.matches(Topics().verdict)
    assert exactly(Topics().verdict) == TopicFilter("pcb/verdict")
    assert not exactly(Topics().verdict).matches(Topics().resend_verdict)


_LEVELS = st.sampled_from(["", "a", "b", "$SYS", "$"])
_NAMES = st.lists(_LEVELS, min_size=1, max_size=4).map("/".join)
_PATTERNS = st.lists(_LEVELS | st.sampled_from(["+", "#"]), min_size=1, max_size=4).map("/".join)


@given(_PATTERNS, _NAMES)
@settings(max_examples=500)
def test_filters_match_what_the_broker_matches(pattern: str, name: str) -> None:
    assert TopicFilter(pattern).matches(name) == topic_matches_sub(pattern, name)


def test_the_contract_knows_no_mqtt() -> None:
    code = "import sys; import pcb_bus.contract.codec, pcb_bus.contract.topics; sys.exit('paho' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_topics_are_values() -> None:
    assert Topics().verdict == Topic("pcb/verdict")
    assert len({Topics().verdict, Topics("pcb").verdict}) == 1
