"""What is to be known before a run's results are believed: said in the log, in the index and on the summary page."""

from collections.abc import Sequence

from ..collapse import advice
from ..config import RunConfig
from ..latents import Latents
from .analysis_parts import MadeSeries
from .entries import directions_of
from .region_plots import columns_by_region


def cautions(latents: Latents, config: RunConfig, made_series: Sequence[MadeSeries]) -> list[str]:
    """Sentences; none where nothing is in the way. Directions are those of the first series."""
    when = latents.unfinished
    directions = directions_of(made_series[0]) if made_series else None
    said = (
        f"The training has not finished; this is how it stood {when}." if when else "",
        "" if when else advice(latents, config),
        about_focus(config),
        about_regions(latents),
        "" if directions is None else directions.warning,
    )
    return [sentence for sentence in said if sentence]


def about_focus(config: RunConfig) -> str:
    """That a run looked at one part of the molecule, in a sentence; empty where it looked everywhere."""
    focus = config.closed_form.focus if config.recipe in ("fast", "abinitio") else ""
    return focus and f"The run has a focus, {focus}: what varies elsewhere was taken for a nuisance and is not shown."


def about_regions(latents: Latents) -> str:
    """That latents are of several regions, each with a run of its own; empty for others."""
    if not latents.columns:
        return ""
    *names, last = columns_by_region(latents.columns)
    return f"These are the latents of {', '.join(names)} and {last} together; each has a run of its own in regions."
