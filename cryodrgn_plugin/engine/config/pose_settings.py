"""How poses are found."""

from dataclasses import dataclass
from typing import Annotated

from .bounds import AtLeast, Between, Means, OneOf
from .checks import Settings, require
from .kinds import POSE_SEARCHES


@dataclass(frozen=True, kw_only=True)
class PoseConfig(Settings, section="poses"):
    inference: Annotated[str, OneOf("given", *POSE_SEARCHES, "amortized")] = "given"
    """Where poses come from. given: the star file. hierarchical: a search over all poses, refined where it is best.
    branch_and_bound: a search that keeps every pose its bound does not rule out. amortized: a network reads them off
    the image."""
    spacing_deg: Annotated[float, Between(2, 60)] = 15.0
    """Spacing of the first grid of rotations: 30, 15 or 7.5. Finer finds more and takes eight times longer a step."""
    levels: Annotated[int, AtLeast(0)] = 4
    """How often the best poses are refined, each time on a grid of half the spacing."""
    kept: Annotated[int, AtLeast(1)] = 8
    """Poses per image that are refined. Raise it when many images are placed wrongly."""
    shift_extent: Annotated[float, Between(0, 0.5)] = 0.16
    """Largest shift searched for, as a fraction of the box. Lower it for well centred particles."""
    shift_steps: Annotated[int, AtLeast(1)] = 14
    """Shifts tried along each axis on the first grid."""
    finer_shift_steps: Annotated[int, AtLeast(1)] = 3
    """Shifts tried along each axis about the best one of the level before, at half its spacing; 14 is cryoDRGN2's."""
    first_radius: Annotated[int, AtLeast(1)] = 12
    """Fourier shell up to which the first grid is compared. Lower it for noisy data, raise it for small particles."""
    last_radius: Annotated[int, AtLeast(1)] = 48
    """Fourier shell up to which the finest grid is compared; the box limits it."""
    volumes: Annotated[int, AtLeast(0)] = 8
    """Maps, spread over the latent space, that a network's poses are searched against; 0 searches against the network
    itself, exactly and many times slower."""
    block: Annotated[int, AtLeast(1)] = 64
    """Particles whose poses are searched at a time, before a network learns from them. Lower it when no map forms at
    the start, raise it for speed."""
    exploration: Annotated[float, AtLeast(0)] = 20.0
    """How freely a network's poses are drawn among the likeliest while the frequency limit still grows; 0 takes the
    likeliest always. Raise it when results differ between seeds."""
    search_every: Annotated[int, AtLeast(1)] = 5
    """Epochs of a network's training between two pose searches."""
    schedule: str = "search:30"
    """Stages of a network's training without given poses, such as "search:30, reset, fixed:30, search:30": search looks
    for poses every few epochs, fixed keeps them, reset starts the network anew, refine moves poses by gradient."""

    def check_together(self) -> None:
        require(
            self.first_radius <= self.last_radius,
            f"poses.first_radius is {self.first_radius} and poses.last_radius {self.last_radius}; they must rise.",
        )


@dataclass(frozen=True, kw_only=True)
class AbInitioConfig(Settings, section="ab_initio"):
    species: Annotated[int, AtLeast(0), Means(0, "lets the data decide")] = 1
    """Kinds of molecule told apart while poses are found; 0 lets the data decide, up to `most_species`. 1 for
    one molecule, moving or not."""
    most_species: Annotated[int, AtLeast(2)] = 64
    """Species at most when their number is left to the data."""
    rounds: Annotated[int, AtLeast(2)] = 20
    """Rounds of search and reconstruction at low resolution, from random orientations. Raise it when the maps still
    change at the end of them."""
    images_per_round: Annotated[int, AtLeast(20)] = 500
    """Images drawn for each of these rounds, per species. Raise it for very noisy data."""
    refinements: Annotated[int, AtLeast(1)] = 5
    """Rounds over all images at rising resolution that follow, in which half-sets check each other. Raise it when the
    score still rises at the end."""
    most_climbs: Annotated[int, AtLeast(0)] = 10
    """How often the round in the middle of these is repeated at most, as long as maps gain by it. Raise it for small
    molecules in noisy images; 0 saves time where maps are good at once."""
    conformers: Annotated[int, AtLeast(1)] = 6
    """Conformations that a molecule which moves is taken apart into while its poses are found, each with a map and a
    frame of its own; those that turn out alike become one, and the rest are brought into one frame at the end. Raise it
    for large motions and many particles; 1 keeps the molecule whole."""
    moving_rounds: Annotated[int, AtLeast(0)] = 3
    """Where there is one conformer, or one is left, rounds at the end in which a molecule that moves is placed against
    its mean and its directions of motion, so that its conformation does not pull at its pose; 0 for none."""
    starts: Annotated[int, AtLeast(0), Means(0, "goes by the species")] = 0
    """Independent random starts; the likeliest goes on. 0 takes 3 for one species, and 1 for several species
    or conformers. Raise it when results differ between seeds."""
    more_starts: Annotated[int, AtLeast(0)] = 12
    """Where several species are told apart, further random starts of those whose starts do not agree about poses, after
    all of these started anew together if their number is open. Raise it when the map of a small molecule stays a blob;
    0 saves the time of both."""


@dataclass(frozen=True, kw_only=True)
class AmortizedConfig(Settings, section="amortized"):
    method: Annotated[str, OneOf("network", "vae", "descent")] = "network"
    """How the recipe ace finds poses. network: a ResNet reads pose and z off the image. vae and descent are baselines
    that are known to fail, rotations only: an encoder with a distribution of rotations, and poses moved by gradient."""
    trunk_width: Annotated[int, AtLeast(1)] = 64
    """Channels of the first stage of the ResNet-18; 64 is the standard, 16 ten times faster for small boxes."""
    symmetrized: bool = True
    """Read each image also turned by 180° and keep the pose that explains it better; it helps against maps that come
    out as their own mirror image."""
    pose_weight: Annotated[float, AtLeast(0)] = 0.1
    """Weight of the pose-to-pose task: views drawn from the model at random poses must give these poses back. 0 leaves
    it out."""
    kl_weight: Annotated[float, AtLeast(0)] = 1e-4
    """Weight of the prior on z, against a loss of one per pixel for an empty model."""
    shift_weight: Annotated[float, AtLeast(0)] = 1e-3
    """Loss per pixel of shift, which keeps the molecule near the centre."""
    images_from: Annotated[int, AtLeast(0)] = 0
    """Images' worth of pose-to-pose steps before the model is compared with images at all. For a training that starts
    from a map: until the network can read poses off its views, images would only blur it."""
    latent_from: Annotated[int, AtLeast(0)] = 300_000
    """Images seen before z is learnt; until then it is drawn from its prior, and the model is one consensus map."""
    warmup_images: Annotated[int, AtLeast(0)] = 100_000
    """Images seen until the model is compared with the images themselves; at the start it is compared with blurred
    ones. 0 leaves the blur out."""
    warmup_blur_px: Annotated[float, AtLeast(0)] = 2.0
    """Standard deviation of that blur in pixels. Raise it for noisier images."""
    search: bool = False
    """At the end, search around the poses that were read off, against the maps of the run, by poses.levels grids from
    poses.spacing_deg on."""
    start_from: str = ""
    """Folder of a finished run whose decoder training starts from, made with the same decoder settings and box; empty
    starts from nothing."""

    def check_together(self) -> None:
        require(
            not self.images_from or (self.pose_weight > 0 and self.method == "network"),
            f"amortized.images_from is {self.images_from}, but there is no pose-to-pose task; set it to 0.",
        )
