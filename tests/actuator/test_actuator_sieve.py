from hypothesis import given
from hypothesis import strategies as st

from actuator.sieve import Sieve


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=200))
def test_a_member_is_never_taken_for_new(steps: list[tuple[bool, int]]) -> None:
    sieve = Sieve(members=2)
    members: set[int] = set()
    for joins, number in steps:
        if joins and number not in members:
            members.add(number)
            sieve.add(str(number))
        elif not joins and number in members:
            members.remove(number)
            sieve.discard(str(number))
        assert all(str(each) in sieve for each in members)


def test_a_cell_that_overflowed_stays() -> None:
    sieve = Sieve(members=1)
    for _ in range(300):
        sieve.add("a")
    for _ in range(299):
        sieve.discard("a")
    assert "a" in sieve


def test_most_new_ones_are_told_from_the_members() -> None:
    sieve = Sieve(members=1000)
    for number in range(1000):
        sieve.add(f"member {number}")
    assert sum(f"new {number}" in sieve for number in range(1000)) < 150
    for number in range(1000):
        sieve.discard(f"member {number}")
    assert not any(f"member {number}" in sieve for number in range(1000))
