"""Pictures and pages that need nothing but the file they are in: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]


def line_chart(lines: Mapping[str, Points], *, title: str, x: str, y: str) -> str:
    """An SVG text with a line for each name, through its points."""
    import pygal
    from pygal.style import CleanStyle

    chart = pygal.XY(
        title=title,
        x_title=x,
        y_title=y,
        style=CleanStyle(font_family="sans-serif"),
        js=[],
        width=760,
        height=420,
        show_dots=True,
        dots_size=2,
        legend_at_bottom=True,
        include_x_axis=True,
        pretty_print=False,
        disable_xml_declaration=True,
        no_prefix=False,
    )
    for name, points in lines.items():
        chart.add(name, [(float(a), float(b)) for a, b in points])
    said: str = chart.render(is_unicode=True)
    return said
