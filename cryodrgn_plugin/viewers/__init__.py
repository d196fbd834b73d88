"""Viewers that Scipion offers for the plugin's protocols."""

from .viewer_explorer import HetExplorerViewer
from .viewer_preflight import HetPreflightViewer

__all__ = ["HetExplorerViewer", "HetPreflightViewer"]
