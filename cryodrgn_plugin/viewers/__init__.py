"""Viewers that Scipion offers for the plugin's protocols."""

from .viewer_agreement import HetAgreementViewer
from .viewer_explorer import HetExplorerViewer
from .viewer_preflight import HetPreflightViewer
from .viewer_refine import HetRefinementViewer
from .viewer_subtract import HetSubtractionViewer
from .viewer_validate import HetValidationViewer

__all__ = [
    "HetAgreementViewer",
    "HetExplorerViewer",
    "HetPreflightViewer",
    "HetRefinementViewer",
    "HetSubtractionViewer",
    "HetValidationViewer",
]
