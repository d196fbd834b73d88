"""Recipes that train a network by gradient descent."""
