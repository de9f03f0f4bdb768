"""The skeleton of a report: title, verdict, tiles with the key figures, sections with tables and image sheets.

Plain `str` is text and gets escaped wherever it is put in; `Html` is markup and is taken as it is.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2

from training.boxes import Image

Tone = Literal["good", "warn", "bad", "soft"]


class Html(str):
    """Markup that needs no escaping."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """One card of the page: a title, a line about what is to be seen, and the content."""

    title: str
    content: Html
    note: str | Html = ""


def page(title: str, subtitle: str, head: Iterable[Html], sections: Iterable[Section], footer: str = "") -> str:
    """A whole page as one self-contained document; `head` (verdict, tiles) stands above the sections."""
    body = join([*head, *(_section(section) for section in sections)])
    style = Path(__file__).with_name("page.css").read_text()
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n<main>\n"
        f'<h1>{text(title)}</h1>\n<p class="soft">{text(subtitle)}</p>\n{body}\n'
        f"<footer>{text(footer)}</footer>\n</main>\n</html>\n"
    )


def text(content: object) -> Html:
    """Anything as markup: escaped unless it is markup already."""
    return content if isinstance(content, Html) else Html(html.escape(str(content)))


def join(parts: Iterable[Html]) -> Html:
    """Markup one after another."""
    return Html("\n".join(parts))


def verdict(tone: Tone, sentence: str) -> Html:
    """The one sentence that a hurried reader takes away."""
    return Html(f'<div class="verdict {tone}">{text(sentence)}</div>')


def tiles(figures: Iterable[tuple[str, object]]) -> Html:
    """Key figures: (label, value) each."""
    cells = (f'<div class="tile"><b>{text(value)}</b><span>{text(label)}</span></div>' for label, value in figures)
    return Html(f'<div class="tiles">{"".join(cells)}</div>')


def toned(tone: Tone, content: object) -> Html:
    """Text in one of the page's tones."""
    return Html(f'<span class="{tone}">{text(content)}</span>')


def code(content: object) -> Html:
    """A command, file or line in a monospaced face."""
    return Html(f"<code>{text(content)}</code>")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table; numbers (int, float) stand to the right, everything else to the left."""
    body = [list(row) for row in rows]
    numeric = [any(isinstance(row[i], int | float) for row in body) for i in range(len(head))]
    title = "".join(f"<th{_number_class(numeric[i])}>{text(name)}</th>" for i, name in enumerate(head))
    lines = ("".join(f"<td{_number_class(numeric[i])}>{_cell(v)}</td>" for i, v in enumerate(row)) for row in body)
    content = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return Html(f'<div class="scroll"><table><thead><tr>{title}</tr></thead>\n<tbody>{content}</tbody></table></div>')


def picture(image: Image, alt: str, quality: int = 85) -> Html:
    """An image (uint8, grey or BGR) inside the page itself, as JPEG."""
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    height, width = image.shape[:2]
    data = base64.b64encode(jpeg.tobytes()).decode()
    alternative = html.escape(alt)
    return Html(f'<img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" alt="{alternative}">')


def sheet(pictures: Iterable[tuple[Image, str]]) -> Html:
    """Images side by side, each with its caption."""
    figures = (
        f"<figure>{picture(image, caption)}<figcaption>{text(caption)}</figcaption></figure>"
        for image, caption in pictures
    )
    return Html(f'<div class="sheet">{"".join(figures)}</div>')


def folded(summary: str, content: Html) -> Html:
    """Content that is shown when its summary is clicked on."""
    return Html(f"<details><summary>{text(summary)}</summary>{content}</details>")


def _section(section: Section) -> Html:
    note = f'<p class="soft">{text(section.note)}</p>' if section.note else ""
    return Html(f"<section><h2>{text(section.title)}</h2>{note}{section.content}</section>")


def _cell(value: object) -> Html:
    if isinstance(value, float):
        return text(f"{value:.3f}")
    return text(f"{value:,}" if isinstance(value, int) else value)


def _number_class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
