"""A training as cryoDRGN leaves it, with a network of random numbers, and that network written out slowly."""

import pickle
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True)
class Layout:
    """What cryoDRGN can be asked for."""

    box: int = 8
    z_dim: int = 2
    domain: str = "hartley"
    encoding: str = "gaussian"
    waves: int | None = None
    """pe_dim; None is D/2."""
    activation: str = "relu"
    width: int = 12
    layers: int = 2
    prefix: str = "decoder.decoder."
    """Of the decoder's parameters: of a VAE, or of a decoder by itself."""
    norm: tuple[float, float] = (0.0, 3.5)
    paths: dict = field(default_factory=dict)
    """Of particles, poses, ctf, ind."""

    @property
    def waves_by_axis(self) -> int:
        return self.waves or self.box // 2

    @property
    def features(self) -> int:
        return 3 if self.encoding == "none" else 6 * self.waves_by_axis


def parameters(layout: Layout, seed: int = 0) -> dict[str, torch.Tensor]:
    """By cryoDRGN's names; layers whose input is as wide as their output are residual."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [layout.features + layout.z_dim, *[layout.width] * (layout.layers + 1)]
    sizes.append(1 if layout.domain == "hartley" else 2)
    state = {}
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        name = f"{layout.prefix}main.{2 * number}.{'linear.' if inputs == outputs else ''}"
        state[f"{name}weight"] = torch.randn(outputs, inputs, generator=generator) * inputs**-0.5
        state[f"{name}bias"] = torch.randn(outputs, generator=generator) * 0.3
    if layout.encoding == "gaussian":
        state["decoder.rand_freqs"] = torch.randn(3 * layout.waves_by_axis, 3, generator=generator) * 0.5
    state["encoder.main.0.weight"] = torch.randn(5, 7, generator=generator)
    state["encoder.main.0.bias"] = torch.randn(5, generator=generator)
    return state


def write_training(folder: Path, layout: Layout, z: np.ndarray, log_variance: np.ndarray | None, seed: int = 0) -> Path:
    """config.yaml, weights.pkl and z.pkl in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {name: layout.paths.get(name, "null") for name in ("particles", "poses", "ctf", "ind")}
    lines = ["cmd:", "- cryodrgn", "- train_vae", "- '3'", "dataset_args:"]
    lines += [f"  {name}: {path}" for name, path in sorted(named.items())]
    lines += ["  invert_data: true", "  norm:", *(f"  - {value}" for value in layout.norm), "lattice_args:"]
    lines += [f"  D: {layout.box + 1}", "  extent: 0.5", "  ignore_DC: true", "model_args:"]
    lines += [f"  activation: {layout.activation}", f"  domain: {layout.domain}", "  encode_mode: resid"]
    lines += [f"  pe_dim: {layout.waves or 'null'}", f"  pe_type: {layout.encoding}", f"  zdim: {layout.z_dim}"]
    lines += ["  tilt_params:", "    tdim: 8", "seed: 1", "time: 2026-01-02 03:04:05.678", "version: 4.3.1"]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    torch.save({"epoch": 9, "model_state_dict": parameters(layout, seed)}, folder / "weights.pkl")
    content = pickle.dumps(z.astype(np.float32))
    content += b"" if log_variance is None else pickle.dumps(log_variance.astype(np.float32))
    (folder / "z.pkl").write_bytes(content)
    return folder


# --- the published formulas, one coefficient at a time ----------------------------------------------------------------


def encoded(layout: Layout, state: dict[str, torch.Tensor], q: np.ndarray) -> np.ndarray:
    """Features of one point (3,) of [−0.5, 0.5]³ in cryoDRGN's order."""
    half, count = layout.box // 2, layout.waves_by_axis
    if layout.encoding == "none":
        return q
    if layout.encoding == "gaussian":
        phases = state["decoder.rand_freqs"].double().numpy() * half @ q
        return np.concatenate([np.sin(phases), np.cos(phases)])
    i = np.arange(count)
    waves = {
        "geom_ft": layout.box * np.pi * (2 / layout.box) ** (i / (count - 1)),
        "geom_full": layout.box * np.pi * (1 / layout.box / np.pi) ** (i / (count - 1)),
        "geom_lowf": half * (1 / half) ** (i / (count - 1)),
        "geom_nohighf": half * (2 * np.pi / half) ** (i / (count - 1)),
        "linear_lowf": i + 1.0,
    }[layout.encoding]
    return np.concatenate([part for axis in q for part in (np.sin(axis * waves), np.cos(axis * waves))])


def network_value(layout: Layout, state: dict[str, torch.Tensor], q: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(O,) outputs at one point."""
    hidden = np.concatenate([encoded(layout, state, q), z])
    names = [name for name in state if name.startswith(f"{layout.prefix}main.") and name.endswith("weight")]
    for number, name in enumerate(names):
        weight = state[name].double().numpy()
        after = weight @ hidden + state[name.replace("weight", "bias")].double().numpy()
        after = after + hidden if "linear" in name else after
        slope = 0.01 if layout.activation == "leaky_relu" else 0.0
        hidden = after if number == len(names) - 1 else np.where(after > 0, after, slope * after)
    return hidden


def hartley_value(layout: Layout, state: dict[str, torch.Tensor], k: np.ndarray, z: np.ndarray) -> float:
    """Re − Im at the integer frequency k = (x, y, z)."""
    q = k / layout.box
    if layout.domain == "hartley":
        return float(network_value(layout, state, q, z)[0]) * layout.norm[1] + layout.norm[0]
    if (k**2).sum() > (layout.box / 2) ** 2:
        return layout.norm[0]
    x, y, depth = k
    # Without an encoding the plane in the middle is evaluated as it is.
    in_plane = layout.encoding != "none" and depth == 0
    mirrored = depth > 0 or (in_plane and (y > 0 or (y == 0 and x > 0)))
    real, imaginary = network_value(layout, state, -q if mirrored else q, z)
    return float(real + imaginary if mirrored else real - imaginary) * layout.norm[1] + layout.norm[0]


def slow_volume(layout: Layout, state: dict[str, torch.Tensor], z: np.ndarray) -> np.ndarray:
    """(D, D, D) `vol[z, y, x]`: v(r) = Σ_k H(k) (cos + sin)(2π k·r / D) / D³, as a sum."""
    axis = np.arange(-(layout.box // 2), layout.box // 2)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)[:, ::-1].astype(float)
    values = np.array([hartley_value(layout, state, k, z) for k in points])
    phases = 2 * np.pi * points @ points.T / layout.box
    return ((np.cos(phases) + np.sin(phases)) @ values / layout.box**3).reshape((layout.box,) * 3)
