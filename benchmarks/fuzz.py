"""Whether any reader ends in something other than a sentence, takes long or takes much memory on damaged files.

    python benchmarks/fuzz.py --inputs 20000 --out benchmarks/results/fuzz.json

Inputs are those of the test suite (`tests/engine/hostile_inputs.py`), more of them: so many in all, the same number of
each reader. The process may take 1 GB more than it has when the first is read; an input that would take more is wrong.
"""

import argparse
import json
import os
import resource
import tempfile
import time
import warnings
from pathlib import Path

from hardware import hardware

from cryodrgn_plugin.tests.engine.hostile_inputs import FILES, OF_A_RUN, readers, refuses_all

MEMORY_BYTES = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000, help="of all readers together")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    out = args.out.absolute() if args.out else None
    warnings.simplefilter("ignore")
    names = [*FILES, *OF_A_RUN]
    each = -(-args.inputs // len(names))
    report = {"inputs": each * len(names), "readers": {}, "hardware": hardware()}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        every = readers(Path(folder))
        limit = address_space_bytes() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for name in names:
            began = time.perf_counter()
            wrong = refuses_all(Path(folder), every[name], each)
            report["readers"][name] = {"inputs": each, "wrong": wrong, "seconds": round(time.perf_counter() - began, 1)}
            print(f"{name}: {each:,} inputs, {len(wrong)} wrong", *wrong[:5], sep="\n  ", flush=True)
        os.chdir("/")
    report["wrong"] = sum(len(reader["wrong"]) for reader in report["readers"].values())
    print(f"{report['inputs']:,} inputs, {report['wrong']} wrong")
    if out:
        out.write_text(json.dumps(report, indent=1) + "\n")


def address_space_bytes() -> int:
    """What this process has reserved."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
