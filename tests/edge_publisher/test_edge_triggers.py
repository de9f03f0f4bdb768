"""The triggers that wait for their picture."""

from hypothesis import given
from hypothesis import strategies as st

from edge_publisher.triggers import MAX_WAITING, Chosen, Missed, Senders, Triggers, Waiting
from pcb_bus.contract.times import NS_PER_MS as MS

PERIOD = 100 * MS


def trigger(board_id: str, at_ms: int) -> Waiting:
    return Waiting(board_id, at_ms * MS, at_ms * MS)


def test_a_trigger_is_answered_once() -> None:
    triggers = Triggers(PERIOD)
    assert triggers.offer(trigger("b1", 1000)) == "taken"
    assert triggers.offer(trigger("b1", 1000)) == "repeated"
    assert triggers.decide([1000 * MS], 1000 * MS) == [(trigger("b1", 1000), Chosen(0))]
    assert triggers.decide([1000 * MS], 1001 * MS) == []
    assert triggers.offer(trigger("b1", 1000)) == "repeated"


def test_the_same_board_a_second_time_is_another_pass() -> None:
    triggers = Triggers(PERIOD)
    assert [triggers.offer(trigger("b1", at)) for at in (1000, 2000)] == ["taken", "taken"]


def test_those_that_must_wait_keep_their_order() -> None:
    triggers = Triggers(PERIOD)
    for board, at in (("b1", 1080), ("b2", 1090), ("b3", 1010)):
        triggers.offer(trigger(board, at))
    assert [each.board_id for each, _ in triggers.decide([1000 * MS], 1090 * MS)] == ["b3"]
    assert triggers.waiting == 2
    later = triggers.decide([1000 * MS, 1100 * MS], 1100 * MS)
    assert later == [(trigger("b1", 1080), Chosen(1)), (trigger("b2", 1090), Chosen(1))]


def test_a_flood_is_refused_not_stored() -> None:
    triggers = Triggers(PERIOD)
    offers = [triggers.offer(trigger(f"b{number}", 1000)) for number in range(MAX_WAITING + 1)]
    assert offers[-1] == "overflow"
    assert triggers.waiting == MAX_WAITING


def test_one_that_overflowed_may_come_again() -> None:
    triggers = Triggers(PERIOD)
    for number in range(MAX_WAITING + 1):
        triggers.offer(trigger(f"b{number}", 1000))
    triggers.decide([1000 * MS], 1000 * MS)
    assert triggers.offer(trigger(f"b{MAX_WAITING}", 1000)) == "taken"


def test_deciding_now_makes_the_late_trigger_a_repeat() -> None:
    triggers = Triggers(PERIOD)
    assert triggers.decide_now(("b1", 1000 * MS), [1020 * MS]) == Chosen(0)
    assert triggers.offer(trigger("b1", 1000)) == "repeated"


def test_deciding_now_ends_the_wait() -> None:
    triggers = Triggers(PERIOD)
    triggers.offer(trigger("b1", 1080))
    assert triggers.decide_now(("b1", 1080 * MS), [1000 * MS]) == Chosen(0)
    assert triggers.decide([1000 * MS, 1100 * MS], 1100 * MS) == []


def test_deciding_now_may_miss() -> None:
    assert Triggers(PERIOD).decide_now(("b1", 1000 * MS), []) == Missed(None)


def test_another_clock_is_reckoned_with_also_when_a_frame_is_asked_for_later() -> None:
    triggers = Triggers(PERIOD)
    late = Waiting("b1", 1000 * MS, 5000 * MS, shift=4000 * MS)
    triggers.offer(late)
    assert triggers.decide([1000 * MS, 5000 * MS], 5000 * MS) == [(late, Chosen(1))]
    assert triggers.decide_now(("b1", 1000 * MS), [1000 * MS, 5000 * MS]) == Chosen(1)
    assert triggers.decide_now(("b2", 1000 * MS), [1000 * MS, 3000 * MS], shift=2000 * MS) == Chosen(1)


def test_a_sender_whose_triggers_are_all_as_late_has_a_wrong_clock() -> None:
    senders = Senders()
    assert [senders.off("plc", lag * MS) for lag in (503, 510, 505, 512, 1500, 509)] == [
        *(0, 0, 503 * MS, 505 * MS),
        *(505 * MS, 505 * MS),
    ]
    assert [senders.off("plc", lag * MS) for lag in (2, 8, 3)] == [505 * MS, 505 * MS, 0]
    assert [senders.off("ahead", lag * MS) for lag in (-700, -695, -698)] == [0, 0, -700 * MS]


def test_triggers_that_a_network_held_up_make_no_wrong_clock() -> None:
    senders = Senders()
    queued = [senders.off("plc", lag * MS) for lag in (5000, 4500, 4000, 3500, 3, 2, 4)]
    assert queued == [0] * 7
    assert [senders.off("far away", lag * MS) for lag in (120, 125, 130, 122)] == [0] * 4


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=60))
def test_every_pass_is_decided_exactly_once(offers: list[tuple[str, int]]) -> None:
    triggers = Triggers(PERIOD)
    decided = []
    for board_id, at_s in offers:
        triggers.offer(trigger(board_id, at_s * 1000))
        decided += [each.board_pass for each, _ in triggers.decide([at_s * 1000 * MS], at_s * 1000 * MS)]
    decided += [each.board_pass for each, _ in triggers.decide([], 10**15)]
    assert sorted(decided) == sorted({(board_id, at_s * 1000 * MS) for board_id, at_s in offers})
