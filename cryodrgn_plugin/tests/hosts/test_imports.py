"""What importing the host's side may cost: Scipion loads every plugin's protocols at each start."""

import subprocess
import sys


def test_importing_the_protocols_imports_no_engine_mathematics():
    code = """
import os, sys
os.environ["SCIPION_DOMAIN"] = "pwem"
import pwem
before = set(sys.modules)
import cryodrgn_plugin.protocols, cryodrgn_plugin.constants, cryodrgn_plugin.bibtex
heavy = {"torch", "numba", "sklearn", "umap"} & (set(sys.modules) - before)
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
