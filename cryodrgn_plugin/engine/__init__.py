"""The reconstruction engine: particles in, a run folder out. It imports nothing of any host."""

import os

# OpenMP threads that wait for each other spin for milliseconds by default. On a machine with other work that costs more
# than the work itself; asleep they wake in microseconds. It is read when numba's and torch's threads start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
