"""Whether a full disk is one sentence, and the command given again then ends as if nothing had happened.

    unshare -rm python benchmarks/full_disk.py --out benchmarks/results/full_disk.json       (or as root)

Every command that writes runs on a disk of its own (tmpfs) with room for a tenth, three tenths … of what it leaves.
It must end in exit code 2 and one sentence that says so; then the disk grows, the command is given again, with
--resume where it has that, and all files must be what they are undisturbed, with no unfinished one or lock left.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

from forked_commands import run_forked
from hardware import hardware
from writing_commands import COMMANDS, PREPARED, Written, contents, differences, leftovers

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
LARGE_BYTES = 2**28
LEAST_BYTES = 2**16
"""Of what a command is taken to leave, where it takes as much away."""


@dataclass
class Told:
    """What the full disks of one command have shown."""

    written_bytes: int
    ended: dict[str, str] = field(default_factory=dict)
    """By the share of what it leaves that there was room for, the last thing said; "finished" where it was enough."""
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="commands; what --out has of others stays")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    chosen = {name: COMMANDS[name] for name in args.only or COMMANDS}
    report: dict[str, Any] = {"shares": SHARES, "hardware": hardware(), "commands": {}}
    if args.only and args.out and args.out.exists():
        report["commands"] = json.loads(args.out.read_text())["commands"]
    with tempfile.TemporaryDirectory() as scratch, SmallDisk(Path(scratch)) as disk:
        for name, command in chosen.items():
            told = disk.of_command(command)
            report["commands"][name] = vars(told)
            full = sum(said != "finished" for said in told.ended.values())
            print(f"{name}: full {full} times, {len(told.wrong)} wrong", flush=True)
            print(*(f"  {line}\n" for line in told.wrong), sep="", end="", flush=True)
            report["wrong"] = sum(len(told["wrong"]) for told in report["commands"].values())
            if args.out:
                args.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"{report['wrong']} wrong")


class SmallDisk:
    """A folder on a disk of its own whose size can be set; it is as it was before each command."""

    def __init__(self, scratch: Path) -> None:
        self.before, self.folder = scratch / "before", scratch / "work"
        self.before.mkdir()
        self.folder.mkdir()
        for words in PREPARED:
            ended = run_forked(words, self.before)
            assert ended.code == 0, ended.said

    def __enter__(self) -> "SmallDisk":
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={LARGE_BYTES}", "tmpfs", self.folder], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self.folder], check=True)

    def of_command(self, command: Written) -> Told:
        """Run a command undisturbed, and then with room for each share of what it left."""
        before_bytes = self._afresh()
        whole = run_forked(command.words, self.folder)
        wanted = contents(self.folder)
        told = Told(max(self._used_bytes() - before_bytes, LEAST_BYTES))
        if whole.code:
            told.wrong.append(f"undisturbed: exit code {whole.code}: {whole.said[-300:]}")
            return told
        for share in SHARES:
            self._size(self._afresh() + int(share * told.written_bytes))
            ended = run_forked(command.words, self.folder)
            self._size(LARGE_BYTES)
            told.ended[f"{share:g}"] = "finished" if ended.code == 0 else ended.said.strip().rpartition("\n")[2]
            if ended.code not in (0, 2) or "Traceback" in ended.said:
                told.wrong.append(f"{share:g}: exit code {ended.code}: {ended.said[-600:]}")
            elif ended.code == 2 and "no space" not in ended.said:
                told.wrong.append(f"{share:g}: does not say that the disk is full: {ended.said[-300:]}")
            self._finished(command, told, f"{share:g}", wanted)
        return told

    def _finished(self, command: Written, told: Told, share: str, wanted: dict[str, str]) -> None:
        """Give the command again; note whatever is not as it is undisturbed."""
        left = [name for name in leftovers(self.folder) if name.endswith(".lock") or ".part" in name]
        told.wrong += [f"{share}: {name} is left by the full disk" for name in left]
        if told.ended[share] != "finished":
            ended = run_forked(command.words + command.again, self.folder)
            if ended.code:
                told.wrong.append(f"{share}, again: exit code {ended.code}: {ended.said[-300:]}")
        wrong = [*differences(contents(self.folder), wanted), *(f"{name} is left" for name in leftovers(self.folder))]
        told.wrong += [f"{share}, again: {line}" for line in wrong[:8]]

    def _afresh(self) -> int:
        """Put the folder back as it was; how many bytes are then used."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.before, self.folder, symlinks=True, dirs_exist_ok=True)
        return self._used_bytes()

    def _used_bytes(self) -> int:
        disk = os.statvfs(self.folder)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def _size(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)


if __name__ == "__main__":
    main()
