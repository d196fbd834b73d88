"""Tools that still call setup.py find everything in pyproject.toml."""

from setuptools import setup

setup()
