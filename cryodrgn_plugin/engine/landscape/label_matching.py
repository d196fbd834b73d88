"""The same name for the same cluster: labels matched to those of another partition of the same particles."""

import numpy as np


def matching_numbers(labels: np.ndarray, k: int, others: np.ndarray) -> np.ndarray:
    """(k,) new number of each cluster of `labels` (N,), from 0, so that as many particles as can be keep the number
    that they have in `others` (N,).

    The assignment is optimal (Kuhn 1955). Where there are more clusters than others, those that match nothing take the
    numbers that are left, in their own order; the result is always a permutation of 0 … k − 1.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((k, max(k, int(others.max()) + 1)), np.int64)
    np.add.at(table, (labels, others), 1)
    # Numbers beyond k are not to be had: a partition of k clusters is numbered 1 … k.
    own, theirs = linear_sum_assignment(-table[:, :k])
    numbers = np.empty(k, np.int64)
    numbers[own] = theirs
    return numbers


def common_particles(rows: np.ndarray, other_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices into each of two lists of star rows of the rows that both have, in the same order."""
    _, own, theirs = np.intersect1d(rows, other_rows, assume_unique=True, return_indices=True)
    return own, theirs
