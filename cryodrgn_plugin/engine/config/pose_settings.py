"""How poses are found."""

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    inference: str = "given"
    """Where poses come from. given: the star file. hierarchical: a search over all poses, refined where it is best.
    branch_and_bound: a search that keeps every pose its bound does not rule out. amortized: a network reads them off
    the image."""
    spacing_deg: float = 15.0
    """Spacing of the first grid of rotations: 30, 15 or 7.5. Finer finds more and takes eight times longer a step."""
    levels: int = 4
    """How often the best poses are refined, each time on a grid of half the spacing."""
    kept: int = 8
    """Poses per image that are refined. Raise it when many images are placed wrongly."""
    shift_extent: float = 0.16
    """Largest shift searched for, as a fraction of the box. Lower it for well centred particles."""
    shift_steps: int = 14
    """Shifts tried along each axis on the first grid."""
    finer_shift_steps: int = 3
    """Shifts tried along each axis about the best one of the level before, at half its spacing; 14 is cryoDRGN2's."""
    first_radius: int = 12
    """Fourier shell up to which the first grid is compared. Lower it for noisy data, raise it for small particles."""
    last_radius: int = 48
    """Fourier shell up to which the finest grid is compared; the box limits it."""
    volumes: int = 8
    """Maps, spread over the latent space, that a network's poses are searched against; 0 searches against the network
    itself, exactly and many times slower."""
    block: int = 64
    """Particles whose poses are searched at a time, before a network learns from them. Lower it when no map forms at
    the start, raise it for speed."""
    exploration: float = 20.0
    """How freely a network's poses are drawn among the likeliest while the frequency limit still grows; 0 takes the
    likeliest always. Raise it when results differ between seeds."""
    search_every: int = 5
    """Epochs of a network's training between two pose searches."""
    schedule: str = "search:30"
    """Stages of a network's training without given poses, such as "search:30, reset, fixed:30, search:30": search looks
    for poses every few epochs, fixed keeps them, reset starts the network anew, refine moves poses by gradient."""

    def __post_init__(self) -> None:
        choices = ("given", "hierarchical", "branch_and_bound", "amortized")
        require(
            self.inference in choices, f"poses.inference is {self.inference!r}; choose one of {', '.join(choices)}."
        )
        require(
            2.0 <= self.spacing_deg <= 60.0, f"poses.spacing_deg is {self.spacing_deg}; it must lie between 2 and 60."
        )
        require(self.levels >= 0, f"poses.levels is {self.levels}; it must be 0 or more.")
        require(self.kept >= 1, f"poses.kept is {self.kept}; it must be at least 1.")
        require(
            0 <= self.shift_extent <= 0.5, f"poses.shift_extent is {self.shift_extent}; it must lie between 0 and 0.5."
        )
        require(
            self.shift_steps >= 1 and self.finer_shift_steps >= 1,
            f"poses.shift_steps and poses.finer_shift_steps must be at least 1, not {self.shift_steps} and "
            f"{self.finer_shift_steps}.",
        )
        require(
            1 <= self.first_radius <= self.last_radius,
            f"poses.first_radius is {self.first_radius} and poses.last_radius {self.last_radius}; "
            "they must be at least 1 and rise.",
        )
        require(self.exploration >= 0, f"poses.exploration is {self.exploration}; it must be 0 or more.")
        require(self.block >= 1, f"poses.block is {self.block}; it must be at least 1.")
        require(self.volumes >= 0, f"poses.volumes is {self.volumes}; it must be 0 or more.")
        require(self.search_every >= 1, f"poses.search_every is {self.search_every}; it must be at least 1.")


@dataclass(frozen=True, kw_only=True)
class AbInitioConfig:
    species: int = 1
    """Kinds of molecule told apart while poses are found; 0 lets the data decide, starting from `most_species`. 1 for
    one molecule, moving or not."""
    most_species: int = 8
    """Species started with when their number is left to the data; empty ones are dropped on the way."""
    rounds: int = 20
    """Rounds of search and reconstruction at low resolution, from random orientations. Raise it when the maps still
    change at the end of them."""
    images_per_round: int = 500
    """Images drawn for each of these rounds, per species. Raise it for very noisy data."""
    refinements: int = 5
    """Rounds over all images at rising resolution that follow, in which half-sets check each other. Raise it when the
    score still rises at the end."""
    conformers: int = 6
    """Conformations that a molecule which moves is taken apart into while its poses are found, each with a map and a
    frame of its own; those that turn out alike become one, and the rest are brought into one frame at the end. Raise it
    for large motions and many particles; 1 keeps the molecule whole."""
    moving_rounds: int = 3
    """Where there is one conformer, or one is left, rounds at the end in which a molecule that moves is placed against
    its mean and its directions of motion, so that its conformation does not pull at its pose; 0 for none."""
    starts: int = 0
    """Independent random starts; the likeliest goes on. 0 takes 3 for one species, and 1 for several species
    or conformers. Raise it when results differ between seeds."""

    def __post_init__(self) -> None:
        require(self.species >= 0, f"ab_initio.species is {self.species}; it must be 0 (the data decide) or more.")
        require(self.most_species >= 2, f"ab_initio.most_species is {self.most_species}; it must be at least 2.")
        require(self.rounds >= 2, f"ab_initio.rounds is {self.rounds}; it must be at least 2.")
        require(
            self.images_per_round >= 20,
            f"ab_initio.images_per_round is {self.images_per_round}; it must be at least 20.",
        )
        require(self.conformers >= 1, f"ab_initio.conformers is {self.conformers}; it must be at least 1.")
        require(self.moving_rounds >= 0, f"ab_initio.moving_rounds is {self.moving_rounds}; it must be 0 or more.")
        require(self.refinements >= 1, f"ab_initio.refinements is {self.refinements}; it must be at least 1.")
        require(self.starts >= 0, f"ab_initio.starts is {self.starts}; it must be 0 (by the species) or more.")


@dataclass(frozen=True, kw_only=True)
class AmortizedConfig:
    method: str = "network"
    """How the recipe ace finds poses. network: a ResNet reads pose and z off the image. vae and descent are baselines
    that are known to fail, rotations only: an encoder with a distribution of rotations, and poses moved by gradient."""
    trunk_width: int = 64
    """Channels of the first stage of the ResNet-18; 64 is the standard, 16 ten times faster for small boxes."""
    symmetrized: bool = True
    """Read each image also turned by 180° and keep the pose that explains it better; it helps against maps that come
    out as their own mirror image."""
    pose_weight: float = 0.1
    """Weight of the pose-to-pose task: views drawn from the model at random poses must give these poses back. 0 leaves
    it out."""
    kl_weight: float = 1e-4
    """Weight of the prior on z, against a loss of one per pixel for an empty model."""
    shift_weight: float = 1e-3
    """Loss per pixel of shift, which keeps the molecule near the centre."""
    images_from: int = 0
    """Images' worth of pose-to-pose steps before the model is compared with images at all. For a training that starts
    from a map: until the network can read poses off its views, images would only blur it."""
    latent_from: int = 300_000
    """Images seen before z is learnt; until then it is drawn from its prior, and the model is one consensus map."""
    warmup_images: int = 100_000
    """Images seen until the model is compared with the images themselves; at the start it is compared with blurred
    ones. 0 leaves the blur out."""
    warmup_blur_px: float = 2.0
    """Standard deviation of that blur in pixels. Raise it for noisier images."""
    search: bool = False
    """At the end, search around the poses that were read off, against the maps of the run, by poses.levels grids from
    poses.spacing_deg on."""
    start_from: str = ""
    """Folder of a finished run whose decoder training starts from, made with the same decoder settings and box; empty
    starts from nothing."""

    def __post_init__(self) -> None:
        require(
            self.method in ("network", "vae", "descent"),
            f"amortized.method is {self.method!r}; choose network, vae or descent.",
        )
        require(self.trunk_width >= 1, f"amortized.trunk_width is {self.trunk_width}; it must be at least 1.")
        weights = ("pose_weight", "kl_weight", "shift_weight")
        for name in (*weights, "images_from", "latent_from", "warmup_images", "warmup_blur_px"):
            require(getattr(self, name) >= 0, f"amortized.{name} is {getattr(self, name)}; it must be 0 or more.")
        require(
            not self.images_from or (self.pose_weight > 0 and self.method == "network"),
            f"amortized.images_from is {self.images_from}, but there is no pose-to-pose task; set it to 0.",
        )
