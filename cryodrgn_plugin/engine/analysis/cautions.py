"""What is to be known before a run's results are believed: said in the log, in the index and on the summary page."""

from collections.abc import Sequence

from .analysis_parts import MadeSeries
from .entries import directions_of


def cautions(made_series: Sequence[MadeSeries]) -> list[str]:
    """Sentences; none where nothing is in the way. Directions are those of the first series."""
    directions = directions_of(made_series[0]) if made_series else None
    said = [] if directions is None else [directions.warning]
    return [sentence for sentence in said if sentence]
