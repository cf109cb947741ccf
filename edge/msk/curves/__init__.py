"""Force curves of muscle fibres and tendons: De Groote et al. 2016, Millard et al. 2013 and Thelen 2003."""

from __future__ import annotations

from edge.msk.curves.family import Curve, Curves, TendonCurve
from edge.msk.curves.parameters import (
    DEGROOTE_2016,
    FAMILIES,
    MILLARD_2013,
    THELEN_2003,
    CurveParameters,
    curves_named,
    curves_of,
    read_curve_parameters,
)

__all__ = [
    "DEGROOTE_2016",
    "FAMILIES",
    "MILLARD_2013",
    "THELEN_2003",
    "Curve",
    "CurveParameters",
    "Curves",
    "TendonCurve",
    "curves_named",
    "curves_of",
    "read_curve_parameters",
]
