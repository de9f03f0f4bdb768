"""What is open, and how flapping is damped. Times are seconds, but for the book."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pcb_bus.contract.times import NS_PER_S
from recorder.alerts import Alert, AlertBook, Change, Key, Raised, Resolved

KEY = Key("node_offline", "inference")
ALERT = Alert(KEY, "warning", "inference is offline", at=7)
DAY_S = 86_400


def raise_(book: AlertBook, second: float) -> list[Change]:
    return book.raise_(ALERT, round(second * NS_PER_S))


def resolve(book: AlertBook, second: float) -> list[Change]:
    return book.resolve(KEY, round(second * NS_PER_S))


def tick(book: AlertBook, second: float) -> list[Change]:
    return book.tick(round(second * NS_PER_S))


def test_raised_once_and_resolved_once() -> None:
    book = AlertBook()
    assert raise_(book, 0) == [Raised(ALERT)]
    assert raise_(book, 1) == []
    assert book.open() == [ALERT]
    assert resolve(book, 2) == [Resolved(ALERT)]
    assert resolve(book, 3) == []
    assert book.open() == []


def test_what_was_open_before_a_restart_is_not_raised_again_but_resolved() -> None:
    book = AlertBook([ALERT])
    assert raise_(book, 0) == []
    assert resolve(book, 1) == [Resolved(ALERT)]


def test_other_subjects_and_kinds_are_other_alerts() -> None:
    book = AlertBook([ALERT])
    other = Alert(Key("node_offline", "actuator"), "warning", "actuator is offline", at=8)
    assert book.raise_(other, 0) == [Raised(other)]
    assert book.open("node_offline") == [ALERT, other]
    assert book.open("disk_nearly_full") == []


def test_one_that_comes_back_is_resolved_later() -> None:
    book = AlertBook()
    raise_(book, 0)
    resolve(book, 1)
    raise_(book, 2)
    assert resolve(book, 3) == []
    assert tick(book, 12.9) == []
    assert tick(book, 13) == [Resolved(ALERT)]


def test_one_that_comes_back_while_it_waits_stays_open() -> None:
    book = AlertBook()
    for second in (0, 2):
        raise_(book, second)
        resolve(book, second + 1)
    assert raise_(book, 5) == []
    assert tick(book, 500) == []
    assert book.open() == [ALERT]


def test_one_that_stayed_away_for_long_is_resolved_at_once_again() -> None:
    book = AlertBook()
    for second in (0, 2):
        raise_(book, second)
        resolve(book, second + 1)
    tick(book, 13)
    tick(book, 13 + 600)
    raise_(book, 700)
    assert resolve(book, 701) == [Resolved(ALERT)]


@given(st.lists(st.tuples(st.floats(0.01, 120), st.booleans()), max_size=60))
def test_raises_and_resolves_take_turns_and_the_last_word_holds(steps: list[tuple[float, bool]]) -> None:
    book, now, changes = AlertBook(), 0.0, list[Change]()
    for pause, is_on in steps:
        now += pause
        changes += tick(book, now)
        changes += raise_(book, now) if is_on else resolve(book, now)
    assert [isinstance(change, Raised) for change in changes] == [place % 2 == 0 for place in range(len(changes))]
    wanted = bool(steps) and steps[-1][1]
    assert wanted <= book.is_open(KEY)
    tick(book, now + 600)
    assert book.is_open(KEY) == wanted


@settings(deadline=None)  # up to 86,000 changes of a tenth of a day
@given(st.floats(0.1, 5))
def test_whatever_flaps_is_told_a_bounded_number_of_times_a_day(period: float) -> None:
    book, changes, now = AlertBook(), 0, 0.0
    while now < DAY_S / 10:
        changes += len(raise_(book, now)) + len(tick(book, now)) + len(resolve(book, now + period / 2))
        now += period
    assert changes <= 4
