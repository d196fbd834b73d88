"""Viewers that Scipion offers for the plugin's protocols."""

from .viewer_explorer import HetExplorerViewer
from .viewer_live import HetActiveTrainingViewer
from .viewer_outputs import HetOutputsViewer
from .viewer_preflight import HetPreflightViewer
from .viewer_refine import HetRefinementViewer
from .viewer_subtract import HetSubtractionViewer
from .viewer_validate import HetValidationViewer

__all__ = [
    "HetActiveTrainingViewer",
    "HetExplorerViewer",
    "HetOutputsViewer",
    "HetPreflightViewer",
    "HetRefinementViewer",
    "HetSubtractionViewer",
    "HetValidationViewer",
]
