"""The run that a command is to look at, which may not have finished."""

import argparse

from ..run import Run
from .run_argument import opened


def run_to_look_at(args: argparse.Namespace) -> Run:
    """The run that the arguments name. One that has not finished is shown as its last checkpoint has it, which the log
    says.

    Raises DataError when that is no run, and ConfigError or DataError where its particles cannot be opened.
    """
    run = opened(args)
    if run.latest_checkpoint() is not None:
        from ..recipes import look_in

        look_in(run)
        if run.latents_file.exists() and (when := run.latents().unfinished):
            run.log(f"The training has not finished; this is how it stood {when}.")
    return run
