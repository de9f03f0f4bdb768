"""The triggers that wait for their picture."""

from hypothesis import given
from hypothesis import strategies as st

from edge_publisher.picker import Chosen, Missed, PickRules
from edge_publisher.triggers import MAX_WAITING, TriggerDesk, Waiting
from pcb_bus.contract.times import NS_PER_MS as MS

RULES = PickRules(window=500 * MS, period=100 * MS)


def trigger(board_id: str, at_ms: int) -> Waiting:
    return Waiting(board_id, at_ms * MS, at_ms * MS)


def test_a_trigger_is_answered_once() -> None:
    desk = TriggerDesk(RULES)
    assert desk.offer(trigger("b1", 1000)) == "taken"
    assert desk.offer(trigger("b1", 1000)) == "repeated"
    assert desk.decide([1000 * MS], 1000 * MS) == [(trigger("b1", 1000), Chosen(0))]
    assert desk.decide([1000 * MS], 1001 * MS) == []
    assert desk.offer(trigger("b1", 1000)) == "repeated"


def test_the_same_board_a_second_time_is_another_pass() -> None:
    desk = TriggerDesk(RULES)
    assert [desk.offer(trigger("b1", at)) for at in (1000, 2000)] == ["taken", "taken"]


def test_those_that_must_wait_keep_their_order() -> None:
    desk = TriggerDesk(RULES)
    for board, at in (("b1", 1080), ("b2", 1090), ("b3", 1010)):
        desk.offer(trigger(board, at))
    assert [each.board_id for each, _ in desk.decide([1000 * MS], 1090 * MS)] == ["b3"]
    assert desk.waiting == 2
    later = desk.decide([1000 * MS, 1100 * MS], 1100 * MS)
    assert later == [(trigger("b1", 1080), Chosen(1)), (trigger("b2", 1090), Chosen(1))]


def test_a_flood_is_refused_not_stored() -> None:
    desk = TriggerDesk(RULES)
    offers = [desk.offer(trigger(f"b{number}", 1000)) for number in range(MAX_WAITING + 1)]
    assert offers[-1] == "overflow"
    assert desk.waiting == MAX_WAITING


def test_one_that_overflowed_may_come_again() -> None:
    desk = TriggerDesk(RULES)
    for number in range(MAX_WAITING + 1):
        desk.offer(trigger(f"b{number}", 1000))
    desk.decide([1000 * MS], 1000 * MS)
    assert desk.offer(trigger(f"b{MAX_WAITING}", 1000)) == "taken"


def test_deciding_now_makes_the_late_trigger_a_repeat() -> None:
    desk = TriggerDesk(RULES)
    assert desk.decide_now(("b1", 1000 * MS), [1020 * MS]) == Chosen(0)
    assert desk.offer(trigger("b1", 1000)) == "repeated"


def test_deciding_now_ends_the_wait() -> None:
    desk = TriggerDesk(RULES)
    desk.offer(trigger("b1", 1080))
    assert desk.decide_now(("b1", 1080 * MS), [1000 * MS]) == Chosen(0)
    assert desk.decide([1000 * MS, 1100 * MS], 1100 * MS) == []


def test_deciding_now_may_miss() -> None:
    assert TriggerDesk(RULES).decide_now(("b1", 1000 * MS), []) == Missed(None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=60))
def test_every_pass_is_decided_exactly_once(offers: list[tuple[str, int]]) -> None:
    desk = TriggerDesk(RULES)
    decided = []
    for board_id, at_s in offers:
        desk.offer(trigger(board_id, at_s * 1000))
        decided += [each.board_pass for each, _ in desk.decide([at_s * 1000 * MS], at_s * 1000 * MS)]
    decided += [each.board_pass for each, _ in desk.decide([], 10**15)]
    assert sorted(decided) == sorted({(board_id, at_s * 1000 * MS) for board_id, at_s in offers})
