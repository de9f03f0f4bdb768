"""What stands in `system_config` holds at once where it makes sense; the file's value holds where it does not."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from pcb_bus.contract.messages import LiveConfig
from pcb_bus.runtime.live import LiveValue, LiveValues

Quality = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]


@pytest.fixture
def quality() -> LiveValue[int]:
    return LiveValue("jpeg_quality", Quality, 85)


def config(**values: Any) -> LiveConfig:
    return LiveConfig(values=values, updated_at=1)


def test_a_value_holds_until_another_comes_and_the_files_when_its_key_is_gone(quality: LiveValue[int]) -> None:
    values, seen = LiveValues(quality), [quality()]
    for told in (config(jpeg_quality=90, other=1), config(jpeg_quality=40), config(other=1)):
        assert values.take(told) == []
        seen.append(quality())
    assert seen == [85, 90, 40, 85]


@pytest.mark.parametrize("nonsense", [0, 101, "90", 90.5, True, None, [90], {"a": 1}])
def test_nonsense_is_refused_and_the_files_value_holds(quality: LiveValue[int], nonsense: Any) -> None:
    values = LiveValues(quality)
    values.take(config(jpeg_quality=90))
    (refusal,) = values.take(config(jpeg_quality=nonsense))
    assert (refusal.key, refusal.value, quality()) == ("jpeg_quality", nonsense, 85)
    assert refusal.reason


def test_the_same_nonsense_is_told_once_and_other_nonsense_anew(quality: LiveValue[int]) -> None:
    values = LiveValues(quality)
    told = [len(values.take(config(jpeg_quality=each))) for each in (0, 0, 101, 50, 101)]
    assert told == [1, 0, 1, 0, 1]


def test_one_wrong_value_does_not_hold_up_the_others(quality: LiveValue[int]) -> None:
    share: LiveValue[float] = LiveValue("confidence", Share, 0.5)
    assert [each.key for each in LiveValues(quality, share).take(config(jpeg_quality=0, confidence=1))] == [
        "jpeg_quality"
    ]
    assert (quality(), share()) == (85, 1.0)


def test_a_check_of_its_own_refuses_with_its_own_words() -> None:
    def even(value: int) -> None:
        if value % 2:
            raise ValueError("odd")

    value = LiveValue("pairs", int, 2, even)
    assert [each.reason for each in LiveValues(value).take(config(pairs=3))] == ["odd"]
    assert value() == 2


def test_the_place_of_a_wrong_part_is_named() -> None:
    by_class: LiveValue[dict[str, float]] = LiveValue("class_confidence", dict[str, Share], {})
    (refusal,) = LiveValues(by_class).take(config(class_confidence={"short": 0.5, "spur": 7}))
    assert refusal.reason.startswith("spur: ")
