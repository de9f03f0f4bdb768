from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.contract.times import from_datetime, from_rfc3339, ms_to_ns, ns_to_ms, to_datetime, to_rfc3339


def test_rfc3339_carries_milliseconds_rounded_down() -> None:
    assert to_rfc3339(1_795_248_000_123_999_999) == "2026-11-21T08:00:00.123Z"


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_time_comes_back_to_the_millisecond(ns: int) -> None:
    assert from_rfc3339(to_rfc3339(ns)) == ns // 1_000_000 * 1_000_000


@pytest.mark.parametrize(
    "text", ["2026-11-21T09:00:00.5+01:00", "2026-11-21T08:00:00.500Z", "2026-11-21T08:00:00.5+00:00"]
)
def test_offsets_are_one_moment(text: str) -> None:
    assert from_rfc3339(text) == 1_795_248_000_500_000_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-21t08:00:00z", 0),
        ("2026-11-21 08:00:00Z", 0),
        ("2026-11-21T08:00:00-00:00", 0),
        ("2026-11-21T08:00:00.5Z", 500),
        ("2026-11-21T08:00:00.0120000000000000Z", 12),
        ("2026-11-21T07:59:60Z", 0),
        ("2026-11-21T16:59:60.25+09:00", 250),
        ("2026-11-20T08:01:00-23:59", 0),
    ],
)
def test_every_legal_way_to_write_a_time(text: str, ms: int) -> None:
    assert from_rfc3339(text) == 1_795_248_000_000_000_000 + ms * 1_000_000


def test_nine_digits_of_a_second_count() -> None:
    assert from_rfc3339("1970-01-01T00:00:01.123456789987Z") == 1_123_456_789


def test_a_leap_second_is_the_one_after_it() -> None:
    assert from_rfc3339("2016-12-31T23:59:60Z") == from_rfc3339("2017-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "2026-11-21T08:00:00", "2026-11-21", "2026-13-21T08:00:00Z", "2026-02-29T08:00:00Z"),
        *(
            "2026-W47-6T08:00:00Z",
            "2026-325T08:00:00Z",
            "20261121T080000Z",
            "2026-11-21T08:00Z",
            "2026-11-21T24:00:00Z",
        ),
        *("2026-11-21T08:00:61Z", "2026-11-21T08:00:00.Z", "2026-11-21T08:00:00,5Z", "2026-11-21T08:00:00+0100"),
        *("2026-11-21T08:00:00+24:00", "2026-11-21T08:00:00Z\n", "\u0662026-11-21T08:00:00Z", "0000-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_rfc3339(text)


_ALMOST = st.from_regex(r"\d{4}-\d\d-\d\d[tT ]\d\d:\d\d:\d\d(\.\d*)?([zZ]|[+-]\d\d:\d\d)", fullmatch=True)


@given(st.text() | _ALMOST)
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(from_rfc3339(text), int)


def test_datetimes_are_aware_and_exact_to_the_microsecond() -> None:
    moment = to_datetime(1_795_248_000_123_456_789)
    assert moment == datetime(2026, 11, 21, 8, 0, 0, 123456, UTC)
    assert from_datetime(moment.astimezone(timezone(timedelta(hours=9)))) == 1_795_248_000_123_456_000


def test_milliseconds_there_and_back() -> None:
    assert ns_to_ms(ms_to_ns(41.3)) == 41.3
