"""Force curves of muscle fibres and tendons: De Groote et al. 2016, Millard et al. 2013 and Thelen 2003."""

from __future__ import annotations

from edge.errors import ModelError
from edge.msk.curves.degroote import DEGROOTE_2016
from edge.msk.curves.family import Curve, Curves, TendonCurve
from edge.msk.curves.millard import MILLARD_2013
from edge.msk.curves.thelen import THELEN_2003

__all__ = ["DEGROOTE_2016", "FAMILIES", "MILLARD_2013", "THELEN_2003", "Curve", "Curves", "TendonCurve", "curves_named"]

FAMILIES = {family.name: family for family in (DEGROOTE_2016, MILLARD_2013, THELEN_2003)}


def curves_named(name: str) -> Curves:
    """The family of a name of `FAMILIES`. Raises ModelError for any other."""
    if name not in FAMILIES:
        raise ModelError(f"there are no muscle curves `{name}`: choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
