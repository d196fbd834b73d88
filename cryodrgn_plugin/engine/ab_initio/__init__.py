"""Poses from nothing, and poses made better."""
