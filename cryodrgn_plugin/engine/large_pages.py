"""Large tensors on large pages of memory, where the system has them.

A slice reads from thousands of places of a volume. On pages of 4 KiB the processor has to look up where most of them
are; on pages of 2 MiB it knows. numpy asks for such pages by itself, torch only when it is told to. At box 128, padding
1.5 and 9 channels, kernels that read or add slices take 6 to 30 % less time and memory grows by one percent; at box 64
they take as long as before.
"""

import os


def ask_for_large_pages() -> None:
    """Read by torch at its first large tensor, so it is said when the engine is loaded; what the user says stays."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
