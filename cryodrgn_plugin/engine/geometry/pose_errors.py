"""How far found poses are from true ones, when both maps were free to choose their frame.

Nothing in the images says how a map is turned, where its origin is or which hand it has. So the best rotation, origin
and hand are fitted first, for the whole set at once, and errors are what is left (Zhong's thesis, table 5.2:
the squared Frobenius norm after a global alignment). A point r of the true map lies at G (r − o) in the found one,
after the mirror of `geometry.hand` where the hands differ:

    A_found G ≈ A_true,      s_found − s_true ≈ (A_true o)_xy.

Both fits go to the mode: a minority of wrong poses, scattered or flipped alike, does not move them.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .hand import mirrored_rotations
from .rotations import angular_distance_deg

_FIRST_WIDTH_DEG = 15.0
_LEAST_WIDTH_DEG = 0.01
_STARTS = 500
_COMPARED = 5000
_ROUNDS = 30


@dataclass(frozen=True)
class PoseErrors:
    """N poses after the fit, and how far each is from the truth."""

    rotation: np.ndarray
    """(3, 3) G: turns the true map into the found one, after the mirror where `mirrored`."""
    origin_ang: np.ndarray
    """(3,) o: where the found map's origin lies in the true map."""
    mirrored: bool
    """The found map has the other hand."""
    rotations: np.ndarray
    """(N, 3, 3) found rotations in the frame and hand of the truth."""
    shifts_ang: np.ndarray
    """(N, 2) found shifts with the origin of the truth."""
    angle_deg: np.ndarray
    """(N,) angle of the rotation between found and true."""
    shift_error_ang: np.ndarray
    """(N,) distance between found and true shift."""

    @property
    def squared_frobenius(self) -> np.ndarray:
        """(N,) ‖A_found G − A_true‖²_F = 4 (1 − cos angle)."""
        return 8 * np.sin(np.radians(self.angle_deg) / 2) ** 2

    def share_within(self, degrees: float) -> float:
        return float(np.mean(self.angle_deg <= degrees))

    def summary(self, pixel_size_ang: float) -> dict[str, float | bool]:
        """The figures that are quoted, by name."""
        frobenius, shift = self.squared_frobenius, self.shift_error_ang
        return {
            "particles": len(self.angle_deg),
            "other_hand": self.mirrored,
            "median_angle_deg": float(np.median(self.angle_deg)),
            "mean_angle_deg": float(np.mean(self.angle_deg)),
            "frobenius2_mean": float(np.mean(frobenius)),
            "frobenius2_median": float(np.median(frobenius)),
            "within_5_deg": self.share_within(5.0),
            "within_10_deg": self.share_within(10.0),
            "median_shift_px": float(np.median(shift)) / pixel_size_ang,
            "mean_shift_px": float(np.mean(shift)) / pixel_size_ang,
            "median_shift_ang": float(np.median(shift)),
            "mean_shift_ang": float(np.mean(shift)),
        }


def align_poses(
    found_rotations: np.ndarray,
    true_rotations: np.ndarray,
    found_shifts_ang: np.ndarray,
    true_shifts_ang: np.ndarray,
    either_hand: bool = True,
) -> PoseErrors:
    """Fit rotation, hand and origin of a set of poses, and measure what remains.

    Parameters
    ----------
    found_rotations, true_rotations : (N, 3, 3), volume to view, of the same particles in the same order.
    found_shifts_ang, true_shifts_ang : (N, 2). Where the particle is.
    either_hand : try the mirrored poses too, and take the hand that more poses agree on.

    Raises
    ------
    DataError : the two sets differ in length, or have fewer than three poses.
    """
    found, true = (np.asarray(rotations, dtype=np.float64) for rotations in (found_rotations, true_rotations))
    if len(found) != len(true) or len(found) < 3:
        raise DataError(
            f"There are {len(found):,} found and {len(true):,} true poses; give the same three or more particles."
        )
    hands = [found, mirrored_rotations(found)] if either_hand else [found]
    fits = [_fit_rotation(rotations, true) for rotations in hands]
    hand = int(np.argmax([agreement for _, agreement in fits]))
    rotation = fits[hand][0]
    aligned = hands[hand] @ rotation
    difference_ang = np.asarray(found_shifts_ang, dtype=np.float64) - true_shifts_ang
    origin_ang = _fit_origin(true, difference_ang)
    shifts_ang = found_shifts_ang - aligned[:, :2] @ origin_ang
    return PoseErrors(
        rotation=rotation,
        origin_ang=origin_ang,
        mirrored=bool(hand),
        rotations=aligned,
        shifts_ang=shifts_ang,
        angle_deg=angular_distance_deg(aligned, true),
        shift_error_ang=np.linalg.norm(difference_ang - true[:, :2] @ origin_ang, axis=1),
    )


def _fit_rotation(found: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, float]:
    """(G, share of poses that agree): the mode of A_foundᵀ A_true, under a kernel that shrinks to their spread."""
    votes = np.swapaxes(found, 1, 2) @ true
    every = votes[:: max(1, len(votes) // _COMPARED)]
    starts = every[:: max(1, len(every) // _STARTS)]
    # The trace of AᵀB is the product of both as vectors of nine, and 1 + 2 cos of the angle between them.
    cosines = (starts.reshape(-1, 9) @ every.reshape(-1, 9).T - 1) / 2
    angles_deg = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    rotation = starts[np.argmax(_kernel(angles_deg, _FIRST_WIDTH_DEG).sum(1))]
    width_deg = _FIRST_WIDTH_DEG
    for _ in range(_ROUNDS):
        angle_deg = angular_distance_deg(rotation, votes)
        rotation = _mean_rotation(votes, _kernel(angle_deg, width_deg))
        near = angle_deg[angle_deg < 2 * width_deg]
        width_deg = min(width_deg, max(_LEAST_WIDTH_DEG, 2 * float(np.median(near)) if len(near) else width_deg))
    agreement = _kernel(angular_distance_deg(rotation, votes), _FIRST_WIDTH_DEG).mean()
    return rotation, float(agreement)


def _kernel(angle_deg: np.ndarray, width_deg: float) -> np.ndarray:
    return np.exp(-0.5 * (angle_deg / width_deg) ** 2)


def _mean_rotation(rotations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The rotation nearest to the weighted mean of (N, 3, 3) matrices."""
    u, _, vt = np.linalg.svd(np.tensordot(weights, rotations, 1))
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt


def _fit_origin(rotations: np.ndarray, difference_ang: np.ndarray) -> np.ndarray:
    """(3,) o with (A o)_xy ≈ `difference_ang` (N, 2): least squares, with less weight on those that are far off."""
    rows, weights, origin_ang = rotations[:, :2], np.ones(len(rotations)), np.zeros(3)
    for _ in range(_ROUNDS):
        weighted = rows * weights[:, None, None]
        normal = np.einsum("nij,nik->jk", weighted, rows)
        origin_ang = np.linalg.lstsq(normal, np.einsum("nij,ni->j", weighted, difference_ang), rcond=1e-9)[0]
        residual = np.linalg.norm(difference_ang - rows @ origin_ang, axis=1)
        weights = 1 / (1 + (residual / max(2 * float(np.median(residual)), 1e-6)) ** 2) ** 2
    return origin_ang
