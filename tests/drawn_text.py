"""Where the words of a figure stand: none over another, none beyond the edge."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# At matplotlib's own 100 dpi: words beside each other have a space between them; a line may touch the one above.
_SPACE_PX, _TOUCH_PX = 2.0, 0.5


def texts(figure: Figure) -> list[Text]:
    """Every text that can be seen, with the numbers of the axes."""
    figure.draw_without_rendering()
    return [t for t in _all_texts(figure) if t.get_visible() and t.get_text().strip()]


def _all_texts(figure: Figure) -> Iterator[Text]:
    yield from figure.texts
    for legend in figure.legends:
        yield from legend.get_texts()
    for ax in figure.axes:
        yield from ax.texts
        yield ax.xaxis.label
        yield ax.yaxis.label
        yield ax.title
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            yield from (t.label1 for t in axis.get_major_ticks() if low - slack <= t.get_loc() <= high + slack)


def badly_placed(figure: Figure) -> list[str]:
    """What overlaps or leaves the figure, in words; empty when all is well."""
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts(figure)]
    assert boxes
    width, height = figure.bbox.width, figure.bbox.height
    outside = [
        f"'{text}' leaves the figure: {box}"
        for text, box in boxes
        if box.x0 < 0.0 or box.y0 < 0.0 or box.x1 > width or box.y1 > height
    ]
    return outside + [f"'{a}' and '{b}'" for (a, x), (b, y) in itertools.combinations(boxes, 2) if _overlap(x, y)]


def _overlap(a: Bbox, b: Bbox) -> bool:
    across = min(a.x1, b.x1) - max(a.x0, b.x0)
    down = min(a.y1, b.y1) - max(a.y0, b.y0)
    return bool(across > -_SPACE_PX and down > _TOUCH_PX)
