"""Values as text of a statement: every bit of a number, and nothing in a text that ends it."""

import math

import pytest

from recorder.literals import literals


def test_each_value_has_its_own_form() -> None:
    assert literals([None, True, False, 7, -1, 0.5, 5e-324, "a", b"\x00'"]) == (
        ["NULL", "1", "0", "7", "-1", "0.5e0", "5e-324", "'a'", "x'0027'"]
    )


def test_numbers_that_are_equal_keep_what_tells_them_apart() -> None:
    assert literals([0.0, -0.0, 0, 1, 1.0, True]) == ["0.0e0", "-0.0e0", "0", "1", "1.0e0", "1"]


def test_text_and_none_in_their_order() -> None:
    assert literals(["b", None, "a", "b"]) == ["'b'", "NULL", "'a'", "'b'"]


@pytest.mark.parametrize("text", ["'", '"', "\\", "\\'", "a';--", "\0\n\r\x1a"])
def test_no_text_ends_before_its_end(text: str) -> None:
    (literal,) = literals([text])
    inside = literal[1:-1].replace("\\\\", "").replace("\\'", "")
    assert literal[0] == literal[-1] == "'"
    assert "'" not in inside
    assert not inside.endswith("\\")


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="stored"):
        literals([number])


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        literals([[]])
