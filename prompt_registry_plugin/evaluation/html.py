"""Charts and pages that consist of one file: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from prompt_registry_plugin.errors import needs_extra
from prompt_registry_plugin.evaluation.word_diff import word_changes
from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.masking.controls import visible

Points = Sequence[tuple[float, float]]
_LEFT, _TOP, _WIDE, _HIGH = 56, 48, 660, 300
_COLOURS = ("#1b6ca8", "#c0504d", "#5a8a3a", "#8064a2", "#d98c2b", "#4aa5a8")


def line_chart(lines: Mapping[str, Points], *, title: str, x: str, y: str) -> str:
    """Return an SVG text with a line for each name, through its points; a single point is a dot.

    Charting libraries load scripts or fonts, or install an import hook. The browser shows the `<title>` of a point as a tooltip.
    """
    every = [point for points in lines.values() for point in points] or [(0.0, 0.0)]
    left, right = min(0.0, *(a for a, _ in every)), max(a for a, _ in every) or 1.0
    low, high = min(b for _, b in every), max(b for _, b in every)
    margin = (high - low) * 0.1 or 0.1
    low, high = low - margin, high + margin

    def at(point: tuple[float, float]) -> tuple[float, float]:
        across = (point[0] - left) / ((right - left) or 1.0)
        up = (point[1] - low) / (high - low)
        return round(_LEFT + across * _WIDE, 1), round(_TOP + (1 - up) * _HIGH, 1)

    parts = [f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(visible(title))}</text>']
    for i in range(5):
        level, far = low + (high - low) * i / 4, left + (right - left) * i / 4
        (_, row), (column, _) = at((left, level)), at((far, low))
        parts.append(f'<path d="M{_LEFT} {row}h{_WIDE}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{row + 4}" text-anchor="end">{level:.2f}</text>')
        parts.append(f'<text x="{column}" y="{_TOP + _HIGH + 18}" text-anchor="middle">{far:g}</text>')
    parts.append(f'<text x="{_LEFT + _WIDE / 2}" y="{_TOP + _HIGH + 36}" text-anchor="middle">{escape(x)}</text>')
    parts.append(f'<text x="12" y="{_TOP - 8}">{escape(y)}</text>')
    for i, (name, points) in enumerate(lines.items()):
        colour, placed = _COLOURS[i % len(_COLOURS)], [at(point) for point in points]
        route = " ".join(f"{a},{b}" for a, b in placed)
        parts.append(f'<polyline points="{route}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (a, b), (position, value) in zip(placed, points, strict=True):
            parts.append(f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"><title>{position:g}: {value:.3f}</title></circle>')
        row = _TOP + _HIGH + 58 + 18 * i
        parts.append(f'<path d="M{_LEFT} {row - 4}h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{_LEFT + 26}" y="{row}">{escape(visible(name))}</text>')
    look = 'width="760" font-family="sans-serif" font-size="12" fill="#333"'
    size = f'viewBox="0 0 {_LEFT + _WIDE + 20} {_TOP + _HIGH + 60 + 18 * len(lines)}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>\n{body}\n</svg>'


def page(template: str, **values: Any) -> str:
    """Return an HTML page from a template in `pages`; every value is escaped, and secrets in it are masked."""
    with needs_extra("jinja", "pages of results need"):
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("prompt_registry_plugin.evaluation", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else visible(clean(str(value))),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(word_changes=word_changes, **values)
