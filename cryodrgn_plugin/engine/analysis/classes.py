"""Which classes the particles of a run are in: the separate states that training found, or clusters of the latents."""

from ..latents import Latents
from .analysis_options import CLUSTERS, STATES
from .found_states import FoundStates, found_states, state_classes
from .latent_clusters import Clusters, kmeans


def classes_of(latents: Latents, asked: int, usual: int, group_by: str, seed: int) -> Clusters:
    """The classes of a run's particles.

    Parameters
    ----------
    asked : how many; 0 takes the separate states that training found, or else `usual` clusters.
    group_by : states takes separate states where there are as many as asked for; clusters never does.
    """
    found = separate_states(latents, asked, group_by)
    if found is not None:
        return state_classes(latents.z, found)
    return kmeans(latents.z, asked or usual, seed=seed, along=latents.coordinate)


def separate_states(latents: Latents, asked: int, group_by: str) -> FoundStates | None:
    """The separate states that training found, where they are to be the classes."""
    found = found_states(latents) if group_by == STATES else None
    return found if found is not None and asked in (0, found.count) else None


def grouping(latents: Latents, by_states: bool, classes: str, clusters: str) -> dict[str, str]:
    """What an index says of it: `grouped_by`, and a sentence that says why.

    Parameters
    ----------
    by_states : whether separate states were taken.
    classes : what they are called and how many, as "10 classes".
    clusters : what they are where they are no separate states, as "k-means clusters of the latents".
    """
    found = found_states(latents)
    if by_states:
        why = f"{classes} are the separate states that training found, each particle in the one most probable for it"
    elif found is not None:
        why = f"{classes} are {clusters}, as was asked for; training found {found.count} separate states"
    else:
        why = f"{classes} are {clusters}, for training found no separate states"
    over = found.passed_over if by_states and found is not None else 0
    passed = f"; {over} more {'are' if over > 1 else 'is'} the most probable of no particle" if over else ""
    return {"grouped_by": STATES if by_states else CLUSTERS, "grouped_because": f"{why}{passed}."}
