"""Compile every Triton kernel for an NVIDIA GPU of compute capability 9.0, on a machine that needs none, and print what
the compiler says of each: registers, stack and shared memory.

    python cryodrgn_plugin/tests/engine/compiled_kernels.py

The member's operations run on tensors of zeros, with launches that stop after compilation; so the kernels are those
that it launches, for the types, sizes and alignments that it launches them with. Prints one line of JSON.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.image_formation import Observed
from cryodrgn_plugin.engine.slicing.place import Place
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere
from cryodrgn_plugin.engine.slicing.triton_backend import TritonBackend
from cryodrgn_plugin.engine.slicing.triton_kernels.image_folding import fold

CHANNELS, IMAGES, CANDIDATES, SHIFTS = 17, 4, 3, 21
TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


class NoDriver:
    """What the compiler asks the driver of a GPU for."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def main() -> None:
    driver.set_active(NoDriver())
    compiled: dict[str, dict] = {}
    launched = JITFunction.run

    def compile_only(self, *arguments, grid, warmup, **options):
        kernel = launched(self, *arguments, grid=grid, warmup=True, **options)
        compiled.setdefault(kernel.hash, {"kernel": self.__name__} | resources(kernel))

    JITFunction.run = compile_only
    call_everything(TritonBackend(HalfSphere(32, 1.5, 15.0), HalfPlane(32, 15), Place()))
    print(json.dumps(list(compiled.values())))


def resources(kernel) -> dict[str, int]:
    """What a thread and a program of a compiled kernel take."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        said = of_tool("--dump-resource-usage", file.name)
        code = of_tool("--dump-sass", file.name)
    return {
        "registers": int(re.search(r"REG:(\d+)", said)[1]),
        "stack_bytes": int(re.search(r"STACK:(\d+)", said)[1]),
        "shared_bytes": kernel.metadata.shared,
        "warps": kernel.metadata.num_warps,
        "matrix_instructions": len(re.findall("HG?MMA", code)),
        "loads": len(re.findall("LDG", code)),
    }


def of_tool(*words: str) -> str:
    return subprocess.run([TOOL, *words], capture_output=True, text=True, check=True).stdout


def call_everything(backend: TritonBackend) -> None:
    """Every operation once."""
    m, count, c = backend.sphere.n_voxels, backend.lattice.size, CHANNELS
    rotations = torch.eye(3).repeat(IMAGES, 1, 1)
    coefs, amplitudes = torch.zeros(m, 2, c, requires_grad=True), torch.zeros(IMAGES, c, requires_grad=True)
    targets, weights = torch.zeros(IMAGES, count, dtype=torch.complex64), torch.zeros(IMAGES, count)
    backend.project(coefs, rotations, count)
    turned = rotations.clone().requires_grad_()
    torch.view_as_real(backend.mix(coefs, amplitudes, turned, count)).sum().backward()
    coefs, amplitudes = coefs.detach(), amplitudes.detach()
    backend.compress(coefs, targets, weights, rotations)
    backend.compress_near(torch.zeros(m, 2, c + 3), targets, weights, rotations, weights)
    several = rotations[:, None].repeat(1, CANDIDATES, 1, 1)
    backend.match(coefs, targets, weights, several, torch.zeros(IMAGES, CANDIDATES, 2), torch.zeros(SHIFTS, 2))
    sets = torch.zeros(IMAGES, dtype=torch.int64)
    backend.expand(coefs, sets, amplitudes, targets, weights, rotations, torch.zeros(IMAGES, 2))
    lhs, rhs = backend.nothing(c)
    backend.accumulate(lhs, rhs, weights, torch.zeros(IMAGES, lhs.shape[1]), targets, amplitudes, rotations)
    backend.accumulate_near(rhs, torch.zeros(m, 2, 4), weights, torch.zeros(IMAGES, 6, c), rotations, weights)
    double, none = torch.zeros(IMAGES, 8, dtype=torch.float64), torch.zeros(IMAGES, dtype=torch.bool)
    observed = Observed(targets, double, double[:, :2], weights, sets, none)
    fold(observed, torch.zeros(count, 2))


if __name__ == "__main__":
    main()
