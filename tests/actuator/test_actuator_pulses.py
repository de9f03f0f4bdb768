from hypothesis import given
from hypothesis import strategies as st

from actuator.pulses import Due, Pulse, PulsePlan, hold


def pulse(verdict_id: str, due: int, duration: int = 100, pin: int = 22, expires: int | None = None) -> Pulse:
    return Pulse(due, due + 1000 if expires is None else expires, verdict_id, pin, duration)


def begin(plan: PulsePlan, now: int) -> Due:
    due = plan.take_due(now)
    for each in due.begin:
        plan.began(each, now)
    return due


def test_one_pulse_begins_and_ends() -> None:
    plan, one = PulsePlan(), pulse("a", due=10)
    plan.add(one)
    assert plan.next_at == 10
    assert begin(plan, 9) == Due()
    assert begin(plan, 10).begin == (one,)
    assert plan.high == frozenset({22})
    assert plan.next_at == 110
    assert begin(plan, 109).off == ()
    assert begin(plan, 110).off == (22,)
    assert plan.high == frozenset()
    assert plan.next_at is None


def test_overlapping_pulses_become_one_that_cuts_neither_short() -> None:
    plan = PulsePlan()
    plan.add(pulse("long", due=0, duration=500))
    plan.add(pulse("short", due=100, duration=50))
    plan.add(pulse("last", due=450, duration=100))
    for now in (0, 100, 150, 450, 500):
        assert begin(plan, now).off == ()
    assert begin(plan, 550).off == (22,)


def test_pulse_that_begins_as_another_ends_keeps_the_pin_high() -> None:
    plan = PulsePlan()
    plan.add(pulse("a", due=0))
    plan.add(pulse("b", due=100))
    begin(plan, 0)
    assert begin(plan, 100).off == ()
    assert begin(plan, 200).off == (22,)


def test_pins_do_not_mix() -> None:
    plan = PulsePlan()
    plan.add(pulse("a", due=0, pin=22, duration=100))
    plan.add(pulse("b", due=0, pin=27, duration=200))
    begin(plan, 0)
    assert begin(plan, 100).off == (22,)
    assert begin(plan, 200).off == (27,)


def test_pulse_whose_moment_has_passed_is_missed() -> None:
    plan, stale = PulsePlan(), pulse("a", due=10, expires=30)
    plan.add(stale)
    assert plan.take_due(31) == Due(missed=(stale,))
    assert plan.next_at is None


def test_cancelled_pulses_never_begin() -> None:
    plan, first, second = PulsePlan(), pulse("a", due=10), pulse("b", due=20)
    plan.add(second)
    plan.add(first)
    assert plan.cancel() == (first, second)
    assert begin(plan, 100) == Due()


GROUPS = {22: "arm", 27: "arm"}


def test_exclusive_pins_take_turns_the_earliest_due_first() -> None:
    plan = PulsePlan(GROUPS)
    for each in (pulse("a", due=0), pulse("b", due=10, pin=27), pulse("c", due=20), pulse("d", due=5, pin=17)):
        plan.add(each)
    assert [each.verdict_id for each in begin(plan, 20).begin] == ["a", "d"]
    assert plan.next_at == 120
    due = begin(plan, 120)
    assert ([each.verdict_id for each in due.begin], due.off) == (["b"], (22, 17))
    due = begin(plan, 220)
    assert ([each.verdict_id for each in due.begin], due.off) == (["c"], (27,))


def test_pulse_that_could_not_begin_in_time_any_more_is_missed_at_once() -> None:
    plan = PulsePlan(GROUPS)
    plan.add(pulse("a", due=0))
    plan.add(pulse("b", due=10, pin=27, expires=99))
    begin(plan, 0)
    assert [each.verdict_id for each in begin(plan, 10).missed] == ["b"]


def test_group_whose_owner_failed_is_free_for_the_next() -> None:
    plan = PulsePlan(GROUPS)
    plan.add(pulse("a", due=0))
    plan.add(pulse("b", due=0, pin=27))
    assert [each.verdict_id for each in plan.take_due(0).begin] == ["a"]
    assert plan.next_at == 0
    assert [each.verdict_id for each in plan.take_due(0).begin] == ["b"]


def test_pin_that_does_not_go_off_blocks_its_group_until_it_does() -> None:
    plan = PulsePlan(GROUPS)
    plan.add(pulse("a", due=0))
    plan.add(pulse("b", due=100, pin=27))
    begin(plan, 0)
    due = plan.take_due(100)
    plan.stays_high(22, 150)
    assert not plan.may_begin(due.begin[0])
    plan.add(due.begin[0])
    assert plan.take_due(101) == Due()
    due = begin(plan, 150)
    assert (due.off, [each.verdict_id for each in due.begin]) == ((22,), ["b"])


def test_held_pin_stays_high_until_it_is_released_and_has_its_group_alone() -> None:
    plan = PulsePlan(GROUPS)
    plan.add(pulse("before", due=0, pin=27))
    begin(plan, 0)
    plan.add(hold(22))
    plan.add(pulse("behind", due=10, pin=27))
    assert begin(plan, 10) == Due()
    due = begin(plan, 100)
    assert ([each.pin for each in due.begin], [each.verdict_id for each in due.missed]) == ([22], ["behind"])
    plan.add(pulse("on it", due=200))
    begin(plan, 200)
    assert begin(plan, 300) == Due()
    plan.add(pulse("at last", due=350))
    begin(plan, 350)
    plan.release(400)
    assert begin(plan, 449).off == ()
    assert begin(plan, 450).off == (22,)


@given(
    pulses=st.lists(
        st.tuples(st.integers(0, 1000), st.integers(1, 300), st.integers(0, 4), st.integers(0, 600)), max_size=30
    ),
    steps=st.lists(st.integers(1, 50), max_size=100),
)
def test_exclusive_pins_are_never_high_together_and_no_pulse_is_forgotten(
    pulses: list[tuple[int, int, int, int]], steps: list[int]
) -> None:
    groups = {0: "a", 1: "a", 2: "b", 3: "b"}
    plan, ended = PulsePlan(groups), list[str]()
    for number, (due, duration, pin, slack) in enumerate(pulses):
        plan.add(Pulse(due, due + slack, str(number), pin, duration))
    now = 0
    while plan.next_at is not None:
        now = max(now + (steps.pop() if steps else 1), plan.next_at if not steps else 0)
        due_now = begin(plan, now)
        assert all(now <= each.expires for each in due_now.begin)
        ended += [each.verdict_id for each in due_now.begin + due_now.missed]
        assert len(plan.high & {0, 1}) <= 1
        assert len(plan.high & {2, 3}) <= 1
    assert sorted(ended) == sorted(str(number) for number in range(len(pulses)))
    assert plan.high == frozenset()


@given(
    pulses=st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 300), st.integers(0, 3)), max_size=30),
    steps=st.lists(st.integers(1, 50), max_size=100),
)
def test_every_pulse_gets_its_full_time_and_every_pin_ends_low(
    pulses: list[tuple[int, int, int]], steps: list[int]
) -> None:
    plan, high_for = PulsePlan(), dict[str, tuple[int, int, int]]()
    for number, (due, duration, pin) in enumerate(pulses):
        plan.add(Pulse(due, due + 10_000, str(number), pin, duration))
    now = 0
    for step in [*steps, *[50] * 40]:
        due_now = begin(plan, now)
        for each in due_now.begin:
            high_for[each.verdict_id] = (each.pin, now, now + each.duration_ns)
        for pin in due_now.off:
            assert all(end <= now for owner, _, end in high_for.values() if owner == pin)
        now += step
    assert len(high_for) == len(pulses)
    assert plan.high == frozenset()
    assert plan.next_at is None
