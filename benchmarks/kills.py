"""Whether a command that was killed and given again ends as if nothing had happened: every command that writes.

    python benchmarks/kills.py --kills 100 --out benchmarks/results/kills.json

Each command is run once undisturbed. Then it is killed (SIGKILL) and given again, with --resume where it has that, one
to three times in a row, until so many kills are done over all commands. Every other kill comes at a random moment of
its processor time, the others at a random one of the things that it does to files, where half-written ones would be
left. After each, `info` must be able to say what is there; after the last, all files must be what they are undisturbed,
and no unfinished one or lock may be left.
"""

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from forked_commands import Ended, run_forked
from hardware import hardware
from writing_commands import COMMANDS, PREPARED, Written, contents, differences, leftovers

IN_A_ROW = 3


@dataclass
class Told:
    """What the kills of one command have shown."""

    cpu_s: float
    operations: int
    kills: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="over all commands")
    parser.add_argument("--only", nargs="+", help="commands; what --out has of others stays")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    chosen = args.only or list(COMMANDS)
    report: dict[str, Any] = {"seed": args.seed, "hardware": hardware(), "commands": {}}
    if args.only and args.out and args.out.exists():
        report["commands"] = json.loads(args.out.read_text())["commands"]
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(Path(scratch))
        for number, name in enumerate(COMMANDS):
            if name not in chosen:
                continue
            wanted = (args.kills * (number + 1)) // len(COMMANDS) - (args.kills * number) // len(COMMANDS)
            told = campaign.of_command(COMMANDS[name], wanted, np.random.default_rng([args.seed, number]))
            report["commands"][name] = vars(told)
            print(f"{name}: {told.cpu_s:.1f} s, {len(told.kills)} kills, {len(told.wrong)} wrong", flush=True)
            print(*(f"  {line}\n" for line in told.wrong), sep="", end="", flush=True)
            report["kills"] = sum(len(told["kills"]) for told in report["commands"].values())
            report["wrong"] = sum(len(told["wrong"]) for told in report["commands"].values())
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{report['kills']} kills, {report['wrong']} wrong")


class Campaign:
    """Kills of commands in one folder, which is as it was before each."""

    def __init__(self, scratch: Path) -> None:
        self.before, self.folder = scratch / "before", scratch / "work"
        self.before.mkdir()
        for words in PREPARED:
            ended = run_forked(words, self.before)
            assert ended.code == 0, ended.said

    def of_command(self, command: Written, kills: int, rng: np.random.Generator) -> Told:
        """Run a command undisturbed, and then with so many kills."""
        self._afresh()
        whole = run_forked(command.words, self.folder)
        wanted = contents(self.folder)
        told = Told(round(whole.cpu_s, 2), whole.operations)
        if whole.code:
            told.wrong.append(f"undisturbed: exit code {whole.code}: {whole.said[-300:]}")
            return told
        while len(told.kills) < kills:
            self._afresh()
            row = self._killed_in_a_row(command, told, min(IN_A_ROW, kills - len(told.kills)), rng)
            self._finished(command, told, row, wanted)
        return told

    def _afresh(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.before, self.folder, symlinks=True)

    def _killed_in_a_row(self, command: Written, told: Told, most: int, rng: np.random.Generator) -> str:
        """Kill the command up to so many times; in words, when."""
        moments: list[str] = []
        for _ in range(int(rng.integers(1, most + 1))):
            words = command.words + (command.again if moments else [])
            moment, ended = _killed(words, self.folder, told, rng)
            if ended.code is not None:
                break  # was faster than the kill
            moments.append(moment)
            told.kills.append(moment)
            run = next(word for word in ("new", "run") if word in command.words or word == "run")
            looked = run_forked(["info", run], self.folder)
            if looked.code not in (0, 2) or "Traceback" in looked.said:
                told.wrong.append(f"{moment}: info ends in {looked.code}: {looked.said[-300:]}")
        return ", then ".join(moments) or "never killed"

    def _finished(self, command: Written, told: Told, row: str, wanted: dict[str, str]) -> None:
        """Give the command again; note whatever is not as it is undisturbed."""
        if row == "never killed" or not set(differences(contents(self.folder), wanted)) | set(leftovers(self.folder)):
            return
        ended = run_forked(command.words + command.again, self.folder)
        wrong = list(differences(contents(self.folder), wanted))
        wrong += [f"{name} is left over" for name in leftovers(self.folder)]
        if ended.code:
            wrong.insert(0, f"exit code {ended.code}: {ended.said[-300:]}")
        told.wrong += [f"killed {row}: {line}" for line in wrong[:8]]


def _killed(words: list[str], folder: Path, told: Told, rng: np.random.Generator) -> tuple[str, Ended]:
    if len(told.kills) % 2:
        operation = int(rng.integers(1, told.operations + 1))
        return f"before file operation {operation}", run_forked(words, folder, kill_at=operation)
    after_s = float(rng.uniform(0, told.cpu_s))
    return f"after {after_s:.2f} s", run_forked(words, folder, kill_after_cpu_s=after_s)


if __name__ == "__main__":
    main()
