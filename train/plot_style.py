"""How our figures look, and how their files are written: the same on every machine, whatever the user's matplotlibrc says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

import edge
from edge.errors import FileError
from edge.storage import atomic_file

# Okabe & Ito (2008): told apart by every kind of colour vision. The line styles tell them apart in grey print.
INK = "#000000"
BLUE = "#0072B2"
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7")
DASHES = ("-", "--", "-.", ":")
FAINT = "#BBBBBB"
GREY = "#444444"

MM_PER_INCH = 25.4
TYPE_PT = 7.0

_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same sheet on every machine
    "font.size": TYPE_PT,
    "axes.formatter.useoffset": False,
    "axes.labelsize": TYPE_PT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "legend.fontsize": TYPE_PT,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "edge-msk",  # names within the file, the same in every run
    "text.parse_math": False,  # a $ in the name of a file is one
    "xtick.labelsize": 6.5,
    "xtick.major.size": 2.0,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 6.5,
    "ytick.major.size": 2.0,
    "ytick.major.width": 0.6,
}

FORMATS: dict[str, dict[str, str | None]] = {
    ".png": {"Software": f"edge-msk {edge.__version__}"},
    ".svg": {"Creator": f"edge-msk {edge.__version__}", "Date": None},
    ".pdf": {"Creator": f"edge-msk {edge.__version__}", "Producer": None, "CreationDate": None},
}
"""Suffix -> what the file says of itself: nothing that changes from run to run."""


def require_format(out: Path) -> None:
    """Raises FileError for a name that ends in none of the formats."""
    if out.suffix.lower() not in FORMATS:
        raise FileError(f"{out}: figures are written as {', '.join(FORMATS)}: name the file so")


@contextmanager
def styled() -> Iterator[None]:
    """Our own style and nothing of the user's, for figures made and saved within."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def save(figure: Figure, out: Path, dpi: float) -> None:
    """Write a figure whole or not at all, in the format of its suffix. Raises FileError."""
    suffix = out.suffix.lower()
    with atomic_file(out) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=dpi, metadata=FORMATS[suffix])
