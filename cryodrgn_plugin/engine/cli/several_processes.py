"""A command that its own process hands to several: torchrun's launcher, where hosts cannot name torchrun themselves.

CRYODRGN_PLUGIN_PROCESSES asks for it, in the environment: a number, or `gpu` for one process on each GPU in sight.
"""

import logging
import os

from .. import threads
from ..errors import ConfigError
from ..stopping import Stopped

PROCESSES = "CRYODRGN_PLUGIN_PROCESSES"
ONE_PER_GPU = "gpu"


def processes_asked() -> int:
    """How many processes the environment asks for; 1 where it does not, and in a process that torchrun has started.

    Raises ConfigError for what is no number.
    """
    asked = os.environ.get(PROCESSES, "")
    if not asked or "WORLD_SIZE" in os.environ:
        return 1
    if asked == ONE_PER_GPU:
        import torch

        return torch.cuda.device_count()
    if not asked.isdecimal():
        raise ConfigError(
            f"{PROCESSES} is {asked!r}; give a number of processes, or {ONE_PER_GPU} for one on each GPU."
        )
    return int(asked)


def by_several(count: int, arguments: list[str]) -> int:
    """Do the command line `arguments` in `count` processes on this machine, which share its threads. Returns the exit
    code of the first that did not succeed, or 0.

    Raises Stopped where this process is told to stop; it has then told the others.
    """
    shared = str(max(1, threads.available() // count))
    os.environ.update(dict.fromkeys(threads.POOLS, shared))
    logging.disable(logging.ERROR)  # torchrun's account of a failure, in which the sentence that explains it is lost
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    program = ["-m", __package__, *arguments]
    try:
        run.main(["--standalone", f"--nproc-per-node={count}", *program])
    except ChildFailedError as failed:
        codes = [each.exitcode for _, each in sorted(failed.failures.items(), key=lambda item: item[1].timestamp)]
        return next((code for code in codes if code > 0), 1)
    except SignalException as told:
        raise Stopped("The processes were told to stop; resume to go on from the last checkpoint.") from told
    return 0
