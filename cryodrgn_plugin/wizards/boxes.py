"""Boxes worth downsampling to, with what each keeps and costs. Free of any window."""

from dataclasses import dataclass

SMALLEST = 32
DEFAULT_LARGEST = 128
"""Without a choice the engine keeps the box up to this size (data.box = 0)."""
STEPS = (32, 40, 48, 64, 80, 96, 128, 160, 192, 216, 256, 320, 384, 432, 512)
"""Even numbers with small prime factors, so that Fourier transforms are quick."""


@dataclass(frozen=True)
class BoxChoice:
    """One box after downsampling."""

    box: int
    pixel_size_ang: float
    finest_ang: float
    """The finest detail that the new pixels can carry: twice their size (Nyquist)."""
    time: float
    """Time per particle, relative to the engine's own choice."""
    memory: float
    """Size of a map, relative to the engine's own choice."""
    remark: str


def box_choices(box: int, pixel_size_ang: float) -> list[BoxChoice]:
    """Choices for particles of `box` pixels, smallest first, the particles' own (made even) last."""
    own = box - box % 2
    usual = min(own, DEFAULT_LARGEST)
    sizes = [size for size in STEPS if SMALLEST <= size < own] + [own]
    return [_choice(size, box, own, usual, pixel_size_ang) for size in sizes]


def _choice(size: int, box: int, own: int, usual: int, pixel_size_ang: float) -> BoxChoice:
    new_pixel_ang = pixel_size_ang * box / size
    remarks = {own: "no downsampling", usual: "the engine's own choice", 64: "a first look"}
    remark = remarks.get(size, "") if size != own or own != usual else "the engine's own choice, no downsampling"
    return BoxChoice(size, new_pixel_ang, 2 * new_pixel_ang, (size / usual) ** 2, (size / usual) ** 3, remark)
