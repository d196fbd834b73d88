"""What a device must do with slices: every operation of closed forms, pose search, refinement and backprojection.

A `Backend` is bound to a half-sphere, which stores the volumes, and to a half-plane, whose leading coefficients the
images have. Tensors go in and come out, all on its device and in its precision; those of the numba member share their
memory with numpy arrays. `torch_backend` is the plain twin of every operation on any device and in any precision;
another member is tested against it (docs/extending.md, "A backend").

B images, P candidate poses, T shifts, F leading coefficients, C channels (volumes), M voxels stored, S shells of the
sphere. Volumes on the half-sphere are `coefs` (M, 2, C). Targets t (B, F) are complex, weights w (B, F) are real; both
hold CTF, noise and multiplicity (`likelihood.whitened`). Rotations (…, 3, 3) turn volume to view and may be scaled
(docs/conventions.md).

Normal equations may be those of a block of the sphere (`SphereBlock`), and of a part of the half-plane that holds what
adds to it (`HalfPlanePart`): a backend bound to these offers what is listed under "solving for volumes".
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..imaging.lattice import HalfPlane
from .device_tables import table
from .place import Place
from .sphere import HalfSphere
from .sphere_block import SphereBlock

N_PARAMETERS = 5
"""Of a pose in `expand`: rotations about the view's x, y and z axes, in radians, and shifts along x and y, in boxes."""
N_ERRORS = N_PARAMETERS + 1
"""Of an image in `compress_near`: those of its pose and, where its slopes are given, that of its defocus."""
N_MOMENTS = 3
"""Of a volume: the transforms of x·V, y·V and z·V."""


class Backend(ABC):
    """Operations on slices; see the head of this file."""

    shares_memory = False
    """Whether its tensors are float32 and share their memory with numpy arrays, which kernels for processors need."""

    def __init__(self, sphere: HalfSphere, lattice: HalfPlane, compute: Place) -> None:
        self.sphere, self.lattice, self.compute = sphere, lattice, compute

    def on(self, sphere: HalfSphere) -> "Backend":
        """The same member bound to another sphere."""
        return type(self)(sphere, self.lattice, self.compute)

    # --- between real space and the half-sphere -------------------------------------------------------------------

    @abstractmethod
    def coefficients(self, volumes: Tensor) -> Tensor:
        """(M, 2, C) whose slices are projections of `volumes` (C, D, D, D); see `HalfSphere.from_volumes`."""

    @abstractmethod
    def volumes(self, coefs: Tensor, convolve: bool = True) -> Tensor:
        """(C, D, D, D) whose projections the slices of `coefs` are; see `HalfSphere.to_volumes`."""

    # --- slices ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def project(self, coefs: Tensor, rotations: Tensor, count: int) -> Tensor:
        """Slices of every channel at rotations (B, 3, 3): (B, F, 2, C), real and imaginary parts, F = `count`."""

    @abstractmethod
    def mix(self, coefs: Tensor, amplitudes: Tensor, rotations: Tensor, count: int) -> Tensor:
        """(B, F) complex slices of Σ_c amplitudes[b, c] V_c, F = `count`.

        Differentiable in coefs, amplitudes (B, C) and rotations (B, 3, 3). The gradient of the coefficients is
        Hermitian-summed on the plane kx = 0, so that an optimiser's step keeps the stored plane Hermitian: a pair is
        one variable there, and has its derivative; so has the origin.
        """

    @abstractmethod
    def compress(self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
        """What a linear decoder needs to know of each image (docs/conventions.md, eq. 7): with u its slices,

        A (B, C, C) = Σ_f w Re(u* uᵀ) and b (B, C) = Σ_f Re(u* t), both float64.
        """

    @abstractmethod
    def match(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, centres: Tensor, pattern: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `compress`, of each image at candidate poses of its own.

        Parameters
        ----------
        targets : not moved.
        rotations, centres : (B, P, 3, 3), (B, P, 2). Shifts in boxes by which the image is moved back.
        pattern : (T, 2). Further shifts in boxes, added to every centre.

        Returns
        -------
        (B, P, C(C + 1)/2) lower triangles by rows of Σ_f w Re(u* uᵀ); (B, P, C, T) Σ_f Re(u* t e^{2πi k·shift}).
        """

    @abstractmethod
    def evidence(self, gram: Tensor, inner: Tensor) -> Tensor:
        """(N, T) log-likelihood with the amplitudes of the bases integrated out over N(0, I).

        gram (N, C(C + 1)/2) and inner (N, C, T) as of `match`, channel 0 the mean with amplitude 1:
        b₀ − ½A₀₀ + ½ rᵀ(A + 1)⁻¹r − ½ log det(A + 1), r = b − A₀.
        """

    @abstractmethod
    def expand(
        self,
        coefs: Tensor,
        sets: Tensor,
        amplitudes: Tensor,
        targets: Tensor,
        weights: Tensor,
        rotations: Tensor,
        shifts: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """How well images fit at their poses and how that changes nearby.

        With u the slice, y the target moved back by the shift and J the derivatives of the model's image by the five
        parameters, ℓ = Σ_f Re(u* y) − ½ w |u|², g_i = Σ_f Re(J_i* (y − w u)), H_ij = Σ_f w Re(J_i* J_j); H is the
        Gauss-Newton approximation of −∂²ℓ.

        Parameters
        ----------
        coefs : (S M, 2, C). S sets of volumes, one after the other.
        sets : (B,) int64. The set that each image is compared with; amplitudes (B, C) mix its volumes.
        rotations, shifts : (B, 3, 3), (B, 2). Shifts in boxes by which the image is moved back.

        Returns
        -------
        ℓ (B,), g (B, 5) and H (B, 5, 5), float64.
        """

    def moving(self, coefs: Tensor) -> Tensor:
        """A volume (M, 2, 1) and its three moments, (M, 2, 4): what its slices and their derivatives are read from.

        The moments are the transforms of x·V, y·V and z·V, with x from −½ to ½ across the box: −2πi times them are the
        derivatives of the volume's transform by the place in 1/box (docs/conventions.md, eq. 13).
        """
        box, volume = self.sphere.box, self.volumes(coefs)[0]
        x = (torch.arange(box, device=volume.device) - box // 2).to(volume.dtype) / box
        weighted = torch.stack([volume * x, volume * x[:, None], volume * x[:, None, None]])
        return torch.cat([coefs, self.coefficients(weighted)], dim=2)

    @abstractmethod
    def compress_near(
        self, coefs: Tensor, targets: Tensor, weights: Tensor, rotations: Tensor, slopes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `compress`, with J more channels: the derivatives of the first volume's image by its pose, J = 5, and by
        what `slopes` belong to, J = 6.

        To first order an image whose pose errs by θ shows u₀ + Σ_j θ_j J_j, so θ are amplitudes as others are.

        Parameters
        ----------
        coefs : (M, 2, C + 3). C volumes and then the moments of the first of them, as `moving` gives them. Shifts are
            undone in the targets.
        slopes : (B, F). By how much of itself the CTF changes with the defocus: J_5 = slopes u₀.

        Returns
        -------
        A (B, C + J, C + J) and b (B, C + J), float64. Channel C + j is J_j, by the parameters of `expand`: the
        derivative by a turn of the view, A ← exp([ω]×) A, or by a shift of the particle; then by the defocus.
        """

    def compress_apart(
        self,
        coefs: Tensor,
        targets: Tensor,
        weights: Tensor,
        rotations: Tensor,
        slopes: Tensor | None = None,
        *,
        n_apart: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `compress_near`, with P = `n_apart` more volumes of which each is looked at by itself: what two of them
        have in common is not asked.

        Parameters
        ----------
        coefs : (M, 2, C + P + 3). C volumes, the P, and the moments of the first.

        Returns
        -------
        A (B, R, R) and b (B, R) of the C and the derivatives, R = C + J; products of the P with these (B, R, P), with
        themselves (B, P), and with the images (B, P), all float64.
        """
        gram, inner = self.compress_near(coefs, targets, weights, rotations, slopes)
        last = coefs.shape[2] - N_MOMENTS
        apart, numbers = slice(last - n_apart, last), torch.arange(gram.shape[1], device=gram.device)
        others = torch.cat([numbers[: last - n_apart], numbers[last:]])
        own = gram.diagonal(dim1=1, dim2=2)[:, apart]
        return gram[:, others[:, None], others], inner[:, others], gram[:, others, apart], own, inner[:, apart]

    # --- solving for volumes --------------------------------------------------------------------------------------

    def nothing(self, n_channels: int) -> tuple[Tensor, Tensor]:
        """Sums for `accumulate`: lhs (M, C(C + 1)/2) and rhs (M, 2, C), zero."""
        options = {"dtype": self.compute.dtype, "device": self.compute.device}
        m = self.sphere.n_voxels
        return torch.zeros(m, n_channels * (n_channels + 1) // 2, **options), torch.zeros(m, 2, n_channels, **options)

    @abstractmethod
    def accumulate(
        self,
        lhs: Tensor,
        rhs: Tensor,
        weights: Tensor,
        moments: Tensor,
        targets: Tensor,
        amplitudes: Tensor,
        rotations: Tensor,
    ) -> None:
        """Add images to normal equations in place, spread to the eight neighbours by trilinear weights:

        lhs += w · moments (B, C(C + 1)/2), rhs += t · amplitudes (B, C). Both still need `completed`.
        """

    def moving_here(self, moving: Tensor) -> Tensor:
        """What `accumulate_near` wants of a whole sphere's `moving` (M, 2, 4): in a block what that stores."""
        if not isinstance(self.sphere, SphereBlock):
            return moving
        return moving[table(self.sphere, "stored", moving.device)]

    @abstractmethod
    def accumulate_near(
        self,
        rhs: Tensor,
        moving: Tensor,
        weights: Tensor,
        corrections: Tensor,
        rotations: Tensor,
        slopes: Tensor | None = None,
    ) -> None:
        """What errors of the poses take from the right sides of `accumulate`, in place, by the same trilinear weights:

        rhs −= w · Σ_j J_j · corrections (B, J, C)[b, j], with J_j (B, F) the derivatives of `compress_near` of the
        volume of which `moving` (M, 2, 4) are the coefficients and moments (`moving_here`); J is 5, or 6 with `slopes`
        (B, F). rhs still needs `completed`.
        """

    @abstractmethod
    def completed(self, lhs: Tensor, rhs: Tensor) -> tuple[Tensor, Tensor]:
        """Accumulated sums with both members of every pair on the plane kx = 0 added; may change them in place."""

    @abstractmethod
    def solve(
        self, lhs: Tensor, rhs: Tensor, precision: Tensor, *, with_variance: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Per-voxel normal equations, (A_v + diag precision[shell]) V_v = b_v.

        precision (S, C). Returns V (M, 2, C) and the posterior variance of a real or imaginary part, (M, C), or (0, C)
        without it, which takes half of the time.
        """

    @abstractmethod
    def backproject(self, sums: Tensor, data: Tensor, power: Tensor, weights: Tensor, rotations: Tensor) -> None:
        """sums (M, 3) += t_v · weights[b] · (Re data, Im data, power)[b, f], in place, over images, coefficients and 8
        neighbours v with trilinear weights t_v. data (B, F) complex, power (B, F), weights (B,). Pairs on the plane
        kx = 0 still have to be summed.
        """

    # --- helpers of members ---------------------------------------------------------------------------------------

    def by_shell(self, values: Tensor) -> Tensor:
        """(S, K) float64. Sums of (M, K) values over the shells of the sphere."""
        shells, n = self.shells, self.sphere.n_shells
        return torch.stack([torch.bincount(shells, column.double(), n) for column in values.T], dim=1)

    @property
    def shells(self) -> Tensor:
        """(M,) int64. Shell of each voxel."""
        return table(self.sphere, "shells", self.compute.device)
