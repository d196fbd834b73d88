"""Viewers that Scipion offers for the plugin's protocols."""

from .viewer_explorer import HetExplorerViewer

__all__ = ["HetExplorerViewer"]
