"""What is to be known before a run's results are believed: said in the log, in the index and on the summary page."""

from collections.abc import Sequence

from ..collapse import advice
from ..config import RunConfig
from ..latents import Latents
from .analysis_parts import MadeSeries
from .entries import directions_of


def cautions(latents: Latents, config: RunConfig, made_series: Sequence[MadeSeries]) -> list[str]:
    """Sentences; none where nothing is in the way. Directions are those of the first series."""
    when = latents.unfinished
    directions = directions_of(made_series[0]) if made_series else None
    said = (
        f"The training has not finished; this is how it stood {when}." if when else "",
        "" if when else advice(latents, config),
        about_focus(config),
        "" if directions is None else directions.warning,
    )
    return [sentence for sentence in said if sentence]


def about_focus(config: RunConfig) -> str:
    """That a run looked at one part of the molecule, in a sentence; empty where it looked everywhere."""
    focus = config.closed_form.focus if config.recipe in ("fast", "abinitio") else ""
    return focus and f"The run has a focus, {focus}: what varies elsewhere was taken for a nuisance and is not shown."
