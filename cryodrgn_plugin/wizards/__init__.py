"""Wizards beside form parameters."""

from .wizard_box import HetBoxWizard

__all__ = ["HetBoxWizard"]
