"""The pictures of the last moments."""

from hypothesis import given
from hypothesis import strategies as st
from support.hand_fed import picture

from edge_publisher.ring import PictureRing, size_of
from pcb_bus.contract.times import NS_PER_MS as MS


def times_in(ring: PictureRing) -> list[int]:
    return [each.captured_at // MS for each in ring.pictures()]


def test_keeps_what_is_younger_than_its_time() -> None:
    ring = PictureRing(seconds=1.5)
    for at in range(0, 3100, 100):
        ring.add(picture(at * MS))
    assert times_in(ring) == list(range(1500, 3100, 100))


def test_big_pictures_leave_early() -> None:
    one = picture(0)
    ring = PictureRing(seconds=10, max_bytes=3 * size_of(one))
    for at in range(6):
        ring.add(picture(at * MS))
    assert times_in(ring) == [3, 4, 5]


def test_the_newest_stays_however_big() -> None:
    ring = PictureRing(seconds=1, max_bytes=10)
    ring.add(picture(0))
    ring.add(picture(5 * MS))
    assert times_in(ring) == [5]


def test_pictures_of_a_clock_that_was_set_back_are_forgotten() -> None:
    ring = PictureRing(seconds=1.5)
    for at in (5000, 5100, 5200, 5150, 100):
        ring.add(picture(at * MS))
    assert times_in(ring) == [100]


@given(st.lists(st.integers(0, 10_000), max_size=80))
def test_always_ascending_bounded_and_with_the_newest(times: list[int]) -> None:
    ring = PictureRing(seconds=1.5, max_bytes=8 * size_of(picture(0)))
    for at in times:
        ring.add(picture(at * MS))
        inside = times_in(ring)
        assert inside == sorted(set(inside))
        assert inside[-1] == at
        assert at - inside[0] <= 1500
        assert len(inside) <= 8
