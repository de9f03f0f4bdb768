"""Whatever the order of arrivals, failures and recoveries: nothing is lost, and nothing overtakes what came before."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from recorder.arrival import Arrival
from recorder.errors import SpoolFault
from recorder.route import Route

ROOM = 6


class Shelf:
    """A spool in memory with little room."""

    def __init__(self, *waiting: Arrival) -> None:
        self.waiting = list(waiting)

    def __len__(self) -> int:
        return len(self.waiting)

    def append(self, arrivals: Sequence[Arrival]) -> None:
        if len(self.waiting) + len(arrivals) > ROOM:
            raise SpoolFault("full")
        self.waiting += arrivals


def arrival(number: int) -> Arrival:
    return Arrival("verdict", "pcb/verdict", b"", number)


def test_it_is_closed_until_nothing_waits_any_more() -> None:
    shelf = Shelf(arrival(1))
    route = Route(shelf)
    assert not route.direct
    assert not route.open_if_empty()
    shelf.waiting.clear()
    assert route.open_if_empty()
    assert route.direct


def test_what_goes_round_closes_it() -> None:
    route = Route(Shelf())
    route.open_if_empty()
    assert route.divert([arrival(1)])
    assert not route.direct
    assert not route.divert([arrival(2)])


def test_what_finds_no_room_leaves_it_as_it_was() -> None:
    route = Route(Shelf())
    route.open_if_empty()
    try:
        route.divert([arrival(number) for number in range(ROOM + 1)])
    except SpoolFault:
        assert route.direct


steps = st.lists(st.sampled_from(["arrive", "up", "down", "drain", "restart"]), max_size=80)


@given(steps, st.integers(1, 3))
def test_every_arrival_is_written_once_and_in_order(todo: list[str], size: int) -> None:
    shelf, written, up, number = Shelf(), list[int](), True, 0
    route = Route(shelf)
    held: list[Arrival] = []  # of a broker: taken, but neither written nor kept

    for step in todo:
        if step == "arrive":
            held += [arrival(number + each) for each in range(size)]
            number += size
        elif step in ("up", "down"):
            up = step == "up"
        elif step == "restart":
            route = Route(shelf)
        elif up:
            written += [each.received_at for each in shelf.waiting[:2]]
            del shelf.waiting[:2]
            route.open_if_empty()
        held = _bring_on(route, held, written, up)

    while held or shelf.waiting:
        written += [each.received_at for each in shelf.waiting]
        shelf.waiting.clear()
        route.open_if_empty()
        held = _bring_on(route, held, written, up=True)
    assert written == list(range(number))


def _bring_on(route: Route, held: list[Arrival], written: list[int], up: bool) -> list[Arrival]:
    """As the intake does; what is left over the broker keeps."""
    if not held:
        return []
    if route.direct and up:
        written += [each.received_at for each in held]
        return []
    try:
        route.divert(held[:ROOM])
    except SpoolFault:
        return held
    return held[ROOM:]
