"""How a training stands, in the words of a protocol's summary."""

from ..engine.run import Run

WAITING = "*Analyze Results* shows it as it goes on; there it can also be ended early, with what it has found by then."
CONTINUES = "*Continue* goes on with it."
COUNTED = {"fast": "step", "abinitio": "round"}
"""What a recipe is counted in, where that is not the epoch."""


def how_it_stands(run: Run, works: bool, extent_ang: float, can_be_kept: bool = True) -> list[str]:
    """Sentences on a training that has not finished.

    Parameters
    ----------
    works : whether the protocol is at work, so that a training that pauses is about to go on.
    extent_ang : the width of an image.
    can_be_kept : whether it can be ended early.
    """
    rows, word = run.metrics(), COUNTED.get(run.config.recipe, "epoch")
    if not works:
        done = f" after {word} {rows[-1]['epoch']}" if rows else ""
        verb = {"failed": "failed", "finished": "is over"}.get(run.status, "was stopped")
        return [f"The training {verb}{done}.", *([run.message] if run.status == "failed" else []), CONTINUES]
    if run.ended_early or run.status == "finished":
        when = f"was ended early, {run.ended_early}" if run.ended_early else "is over"
        return [f"The training {when}; its map and outputs are being made."]
    far = run.how_far
    over = [f"{word.capitalize()} {rows[-1]['epoch']} is over."] if rows else ["The training begins."]
    lines = [far.sentence] if far is not None else over
    if rows and rows[-1].get("radius"):
        lines.append(f"Maps reach {extent_ang / rows[-1]['radius']:.1f} Å so far.")
    return [*lines, WAITING] if can_be_kept else lines


def ended_early(run: Run) -> list[str]:
    """The sentence on a training that was ended early; nothing on any other."""
    return [f"*The training was ended early, {run.ended_early}.* {CONTINUES}"] if run.ended_early else []
