"""Recipes that need no network: directions by EM, nodes, harmonics, maps in closed form."""
