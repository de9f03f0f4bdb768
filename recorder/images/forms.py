"""The kinds of pictures that are kept of a board's side, and the form that each has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pcb_bus.contract.pictures import PictureSize, inspect_jpeg, inspect_png

Kind = Literal["frame", "heat"]
"""What the camera saw, or how unlike a good board each place of it is."""
_MAX_PIXELS = 40_000_000


@dataclass(frozen=True, slots=True)
class Form:
    """How such a picture is written. `size_of` raises MessageRejected for what is none of a sane size."""

    suffix: str
    size_of: Callable[[bytes], PictureSize]


FORMS: dict[Kind, Form] = {
    "frame": Form(".jpg", lambda data: inspect_jpeg(data, max_pixels=_MAX_PIXELS)),
    "heat": Form(".png", lambda data: inspect_png(data, max_pixels=_MAX_PIXELS)),
}
SUFFIXES = tuple(form.suffix for form in FORMS.values())
