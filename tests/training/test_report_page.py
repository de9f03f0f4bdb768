"""The skeleton that every report shares."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np

from training.report.charts import histogram, stacked_bars
from training.report.page import Html, Section, page, picture, sheet, table, tiles, verdict


def test_a_page_loads_nothing_from_elsewhere() -> None:
    content = page("t", "s", [verdict("good", "fine"), tiles([("images", 3)])], [Section("a", Html("<p>b</p>"))])
    assert "<p>b</p>" in content
    assert not re.search(r"https?://|<script|<link|@import|url\(", content)


def test_text_is_escaped_and_markup_is_not() -> None:
    assert "&lt;b&gt;" in page("<b>", "", [], [])
    assert table(["<i>"], [["a & b"], [Html("<b>c</b>")]]).count("<b>c</b>") == 1
    assert "a &amp; b" in table(["<i>"], [["a & b"]])
    assert 'alt="&quot;x&quot;"' in picture(np.zeros((2, 2), np.uint8), '"x"')


def test_numbers_stand_to_the_right() -> None:
    content = table(["name", "count", "share"], [["a", 1234, 0.5]])
    assert content.count('<td class="number">') == 2
    assert ">1,234<" in content
    assert ">0.500<" in content


def test_pictures_lie_inside_the_page() -> None:
    image = np.full((8, 12, 3), 200, np.uint8)
    data = re.findall(r"base64,([^\"]+)", sheet([(image, "one")]))[0]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (8, 12, 3)


def test_bars_are_as_long_as_their_values() -> None:
    content = stacked_bars([("short", (30, 10)), ("spur", (10, 0))], ("train", "val"))
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', content)]
    assert np.allclose(np.array(widths) / widths[0], [1, 1 / 3, 1 / 3, 0], atol=0.01)


def test_an_empty_histogram_is_drawn_too() -> None:
    assert histogram([0, 0], ["1", "2"]).count("<rect") == 2
