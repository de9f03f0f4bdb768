import pytest

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


def test_topics_are_values() -> None:
    assert Topics().verdict == Topic("pcb/verdict")
    assert len({Topics().verdict, Topics("pcb").verdict}) == 1
