"""The run that a command is to look at, which may not have finished."""

from ..run import Run


def run_to_look_at(path: str) -> Run:
    """Open a run. One that has not finished is shown as its last checkpoint has it, which the log says.

    Raises DataError when `path` is no run, and ConfigError or DataError where its particles cannot be opened.
    """
    run = Run.open(path)
    if run.latest_checkpoint() is not None:
        from ..recipes import look_in

        look_in(run)
        if run.latents_file.exists() and (when := run.latents().unfinished):
            run.log(f"The training has not finished; this is how it stood {when}.")
    return run
