"""How long the explorer waits for a map: until the engine is loaded, for the first map and for later ones.

    python benchmarks/resident_decoder.py RUN [--maps 50]

asks the engine's resident process as the explorer does and prints processor time of that process, which a busy machine
does not change, and what the clock says.
"""

import argparse
import json
import os
import sys
import time

from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.viewers.resident_decoder import Answer, ResidentDecoder

POLL_SECONDS = 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("--maps", type=int, default=50, help="maps to ask for, one after the other (50)")
    args = parser.parse_args()
    z = Run.open(args.run).latents().z
    decoder = ResidentDecoder([sys.executable, "-m", "cryodrgn_plugin.engine.cli", "serve", os.path.abspath(args.run)])
    began = time.perf_counter()
    decoder.start()
    while not decoder.is_ready:
        time.sleep(POLL_SECONDS)
    loaded = {"cpu_s": cpu_seconds(decoder), "seconds": time.perf_counter() - began}
    first = timed(decoder, z[:1])
    later = timed(decoder, z[1 : args.maps + 1])
    box = ask(decoder, 0, z[0]).volume.shape[0]
    decoder.close()
    print(json.dumps({"box": box, "loaded": loaded, "first_map": first, "each_later_map": later}, indent=1))


def timed(decoder: ResidentDecoder, places) -> dict[str, float]:
    """Processor time of the engine and the clock's, per map at `places` (n, Z)."""
    cpu, began = cpu_seconds(decoder), time.perf_counter()
    for index, z in enumerate(places):
        ask(decoder, index, z)
    each = (cpu_seconds(decoder) - cpu) / len(places), (time.perf_counter() - began) / len(places)
    return dict(zip(("cpu_s", "seconds"), each, strict=True))


def ask(decoder: ResidentDecoder, index: int, z) -> Answer:
    """Ask and wait for the answer."""
    decoder.ask(index, z)
    while (answer := decoder.newest()) is None:
        time.sleep(POLL_SECONDS)
    assert not answer.error, answer.error
    return answer


def cpu_seconds(decoder: ResidentDecoder) -> float:
    """Processor time of the engine's process so far, to 10 ms (Linux)."""
    with open(f"/proc/{decoder.process_id}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
