"""Foreign class names in the words of the taxonomy."""

from __future__ import annotations

import pytest

from training.datasets.classes import ClassNames, parse_map
from training.datasets.errors import DatasetError

_KNOWN = (
    "missing_component",
    "open_circuit",
    "short",
    "solder_bridge",
    "spurious_copper",
    "mouse_bite",
    "spur",
    "pin_hole",
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("short", "short"),
        ("Short", "short"),
        ("Mouse_bite", "mouse_bite"),
        ("mousebite", "mouse_bite"),
        ("Mouse Bites", "mouse_bite"),
        ("pin-hole", "pin_hole"),
        ("Pinhole", "pin_hole"),
        ("Open_circuit", "open_circuit"),
        ("open", "open_circuit"),
        ("short-circuit", "short"),
        ("Spurious copper", "spurious_copper"),
    ],
)
def test_spelling_is_made_good(theirs: str, ours: str) -> None:
    assert ClassNames(_KNOWN).translate(theirs) == ours


@pytest.mark.parametrize("theirs", ["missing_hole", "missing", "copper", "bridge", "hole", "bite", "defect", "", "0"])
def test_meaning_is_never_guessed(theirs: str) -> None:
    assert ClassNames(_KNOWN).translate(theirs) is None


def test_what_was_said_counts_before_the_name() -> None:
    names = ClassNames(_KNOWN, parse_map(["Missing hole=pin_hole", "spur=-", "bridge=solder_bridge"]))
    assert names.translate("missing_hole") == "pin_hole"
    assert names.translate("spur") == ""
    assert names.translate("bridge") == "solder_bridge"
    assert names.translate("pin_hole") == "pin_hole"


def test_two_classes_can_be_exchanged() -> None:
    names = ClassNames(_KNOWN, parse_map(["spur=mouse_bite", "mouse_bite=spur"]))
    assert [names.translate(name) for name in ("spur", "Mouse bites")] == ["mouse_bite", "spur"]


def test_only_classes_of_the_taxonomy_can_be_named() -> None:
    with pytest.raises(DatasetError, match="--map hole=pinhole: pinhole is none of missing_component"):
        ClassNames(_KNOWN, parse_map(["hole=pinhole"]))


@pytest.mark.parametrize("pair", ["hole", "=short", ""])
def test_a_pair_that_is_none_is_refused(pair: str) -> None:
    with pytest.raises(DatasetError, match="not theirs=ours"):
        parse_map([pair])
