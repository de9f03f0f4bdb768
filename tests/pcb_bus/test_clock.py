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


@pytest.mark.parametrize("text", ["", "soon", "2026-11-21T08:00:00", "2026-11-21", "2026-13-21T08:00:00Z"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_rfc3339(text)


def test_datetimes_are_aware_and_exact_to_the_microsecond() -> None:
    moment = to_datetime(1_795_248_000_123_456_789)
    assert moment == datetime(2026, 11, 21, 8, 0, 0, 123456, UTC)
    assert from_datetime(moment.astimezone(timezone(timedelta(hours=9)))) == 1_795_248_000_123_456_000


def test_milliseconds_there_and_back() -> None:
    assert ns_to_ms(ms_to_ns(41.3)) == 41.3
