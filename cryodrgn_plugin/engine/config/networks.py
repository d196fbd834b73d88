"""What volumes are made of, and what reads latents off images."""

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    kind: str = "basis"
    """basis: a mean volume plus a weighted sum of bases on a Fourier grid. mlp: cryoDRGN's coordinate network."""
    n_bases: int = 16
    """Basis volumes beside the mean (basis only). More can follow larger or more numerous motions and cost time and
    memory in proportion."""
    padding: float = 1.5
    """Oversampling of the Fourier grid (basis only). 1 is the sparse-backpropagation paper's; 2 is RELION's; more is
    more exact and takes padding³ memory."""
    layers: int = 3
    """Residual hidden layers of the network (the coordinate MLP, or the one that turns z into basis weights)."""
    width: int = 256
    """Units per hidden layer. 1024 is cryoDRGN's large setting: finer maps, many times slower."""
    encoding: str = "gaussian"
    """Positional encoding (mlp only): gaussian random Fourier features, or the geometric series of wavelengths."""
    output: str = "hartley"
    """What the coordinate network gives per coefficient (mlp only): one hartley value, or a complex one."""

    def __post_init__(self) -> None:
        require(self.kind in ("basis", "mlp"), f"decoder.kind is {self.kind!r}; choose basis or mlp.")
        require(self.n_bases >= 0, f"decoder.n_bases is {self.n_bases}; it must be 0 or more.")
        require(1.0 <= self.padding <= 3.0, f"decoder.padding is {self.padding}; it must lie between 1 and 3.")
        require(
            self.layers >= 1 and self.width >= 1,
            f"decoder.layers and decoder.width must be at least 1, not {self.layers} and {self.width}.",
        )
        require(
            self.encoding in ("gaussian", "geometric"),
            f"decoder.encoding is {self.encoding!r}; choose gaussian or geometric.",
        )
        require(self.output in ("hartley", "complex"), f"decoder.output is {self.output!r}; choose hartley or complex.")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    kind: str = "mlp"
    """mlp: a network reads the image and gives z. table: every particle has its own free z (autodecoder). tilt_pair: a
    network reads both images of a particle of tilt pairs."""
    layers: int = 3
    """Residual hidden layers of the encoder."""
    width: int = 256
    """Units per hidden layer of the encoder."""

    def __post_init__(self) -> None:
        require(
            self.kind in ("mlp", "table", "tilt_pair"),
            f"encoder.kind is {self.kind!r}; choose mlp, table or tilt_pair.",
        )
        require(
            self.layers >= 1 and self.width >= 1,
            f"encoder.layers and encoder.width must be at least 1, not {self.layers} and {self.width}.",
        )
