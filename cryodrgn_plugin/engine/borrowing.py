"""A run folder of links to another run: what training left is shared, and who looks at it adds results of his own.

Several looks at one training so stand side by side and leave it alone.
"""

import os
from pathlib import Path
from shutil import copyfile, copytree

from .errors import DataError
from .io.writing import explained, standing, write_text
from .result_kinds import KINDS
from .run_layout import LEARNT, TRAINED, RunLayout

ON_THE_WAY = ("config.json", "run.json", "metrics.csv", "copies.npz", "checkpoints", "regions")
"""What a training that has not finished is resumed from."""


def borrow(source: str | Path, folder: str | Path, makes: str) -> None:
    """Make `folder` a run that shares, by relative links, what the run `source` holds.

    Shared are what training left and the results there is one of, such as the analysis; several of a kind
    (trajectories, selections) and what is made on the way (checkpoints, volumes) are not. Status and log are copied,
    for the borrower goes on with its own. Links of an earlier time are renewed; results made by the borrower stay. The
    runs of several regions of a focus are borrowed one by one.

    Parameters
    ----------
    makes : the kind of results that the borrower is to make, which is not shared.

    Raises
    ------
    DataError : there is no run to borrow, `folder` holds a training of its own, or it cannot be written.
    """
    lender, borrower = RunLayout(Path(source)), RunLayout(Path(folder))
    if not lender.info_file.is_file():
        raise DataError(f"There is no run in {source} to look at.")
    if any(_is_own(file) for file in (borrower.model_file, borrower.latents_file, borrower.checkpoints_dir)):
        raise DataError(f"{folder} holds a training of its own; look at {source} from another folder.")
    alone = [kind.folder for kind in KINDS.values() if kind.named or kind.name == makes]
    with explained(borrower.path):
        borrower.path.mkdir(parents=True, exist_ok=True)
        for name in (*TRAINED, *LEARNT):
            shared, link = standing(lender.path / name), borrower.path / name
            if name in LEARNT and _is_own(link):
                continue
            link.unlink(missing_ok=True)
            if shared.exists() and name not in alone:
                link.symlink_to(os.path.relpath(shared.resolve(), borrower.path.resolve()))
    write_text(borrower.info_file, lender.info_file.read_text(encoding="utf-8"))
    if lender.log_file.exists() and not borrower.log_file.exists():
        write_text(borrower.log_file, lender.log_file.read_text(encoding="utf-8"))
    for region in lender.region_dirs:
        borrow(region, borrower.region_dir(region.name), makes)


def _is_own(path: Path) -> bool:
    return path.exists() and not path.is_symlink()


def copy_training(source: str | Path, folder: Path) -> None:
    """Copy what a training has got so far from the run `source` to `folder`, for a process that goes on beside the one
    that writes the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ON_THE_WAY:
        there = Path(source) / name
        if there.is_dir():
            copytree(there, folder / name)
        elif there.exists():
            copyfile(there, folder / name)
