"""Charts as inline SVG, in the colours of the page: stacked bars and histograms."""

from __future__ import annotations

from collections.abc import Sequence

from training.report.page import Html, join, text

_WIDTH, _LABEL, _NUMBER, _ROW = 1000, 190, 70, 26


def legend(series: Sequence[str]) -> Html:
    """Which colour stands for what."""
    marks = (f'<span><i style="background:{colour(i)}"></i>{text(name)}</span>' for i, name in enumerate(series))
    return Html(f'<div class="legend">{"".join(marks)}</div>')


def colour(index: int) -> str:
    """The colour of the index-th series."""
    return f"var(--s{index % 6 + 1})"


def stacked_bars(rows: Sequence[tuple[str, Sequence[float]]], series: Sequence[str]) -> Html:
    """One horizontal bar for each row (label, a value for each series), the total behind it."""
    most = max((sum(values) for _, values in rows), default=0) or 1
    scale = (_WIDTH - _LABEL - _NUMBER) / most
    bars = join(_bar(label, values, series, number * _ROW, scale) for number, (label, values) in enumerate(rows))
    return join([legend(series), _svg(bars, max(1, len(rows)) * _ROW)])


def histogram(counts: Sequence[int], labels: Sequence[str], height: int = 220) -> Html:
    """Vertical bars, one for each bin, its label below and its count above."""
    most, step, ground = max([*counts, 1]), _WIDTH / max(1, len(counts)), height - 24
    parts = [f'<line x1="0" x2="{_WIDTH}" y1="{ground}" y2="{ground}"/>']
    for number, (count, label) in enumerate(zip(counts, labels, strict=True)):
        tall, left, middle = (ground - 22) * count / most, number * step, (number + 0.5) * step
        parts.append(
            f'<rect x="{left + 2:.1f}" y="{ground - tall:.1f}" width="{step - 4:.1f}" height="{tall:.1f}" rx="3" '
            f'fill="{colour(0)}"><title>{text(label)}: {count:,}</title></rect>'
            f'<text class="soft" x="{middle:.1f}" y="{height - 6}" text-anchor="middle">{text(label)}</text>'
        )
        if count:
            parts.append(f'<text x="{middle:.1f}" y="{ground - tall - 6:.1f}" text-anchor="middle">{count:,}</text>')
    return _svg(Html("".join(parts)), height)


def _bar(label: str, values: Sequence[float], series: Sequence[str], top: float, scale: float) -> Html:
    parts, left = [f'<text x="0" y="{top + 17}">{text(label)}</text>'], float(_LABEL)
    for index, (name, value) in enumerate(zip(series, values, strict=True)):
        title = f"{text(label)}, {text(name)}: {value:,}"
        parts.append(
            f'<rect x="{left:.1f}" y="{top + 4}" width="{value * scale:.1f}" height="{_ROW - 8}" '
            f'fill="{colour(index)}"><title>{title}</title></rect>'
        )
        left += value * scale
    parts.append(f'<text class="soft" x="{left + 8:.1f}" y="{top + 17}">{sum(values):,}</text>')
    return Html("".join(parts))


def _svg(content: Html, height: float) -> Html:
    return Html(f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{content}</svg>')
