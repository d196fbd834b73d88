"""Entry of `cryodrgn-plugin`: finds the command, runs it, and turns every ending into an exit code and one sentence.

Exit codes: 0 done, 2 a mistake of the user (one sentence on stderr), 3 stopped by a signal (resumable), 1 a bug.
"""

import argparse
import importlib
import sys
import traceback

from ... import __version__
from .. import streams_out, threads
from ..config import nearest_names
from ..errors import NO_SPACE, EngineError, explain
from ..ranks import left_to_the_first
from ..stopping import Stopped, stop_on_signals
from .option_flags import Switch, bare_switches_said
from .several_processes import by_several, processes_asked

DONE, BUG, USER_ERROR, STOPPED = 0, 1, 2, 3

COMMANDS = {
    "simulate": "make particles of a moving molecule, with the truth beside them",
    "train": "find the latent space and the maps of a set of particles with poses",
    "abinitio": "find the poses too: maps and, if asked for, a latent space or species",
    "analyze": "clusters, principal components, maps, particle lists and figures of a run",
    "landscape": "every particle in the space of volumes: clusters, states, populations, density",
    "trajectory": "maps and a movie along a path through the latent space",
    "states": "maps of states with half-maps, an honest resolution, local resolution and sharpening",
    "atoms": "an atomic model in the maps of a run: rigid parts, their motion and occupancy, and whether to trust them",
    "volumes": "maps at chosen particles or latent coordinates",
    "serve": "maps on request over a pipe, for programs that show them",
    "stop": "end a training that goes on, at once or with what it has found so far",
    "validate": "whether what a run shows is real: halves, chance, leakage, populations, on one page",
    "select": "the particles that go on, by class, rule, lasso or likelihood, and the way back",
    "export": "what a run knows of its particles, in files of cryoSPARC or cryoDRGN",
    "import": "a training of cryoDRGN, or latents of any program, as a run; cryoDRGN's particles as a star file",
    "subtract": "particle images without what lies outside of a mask, for other programs",
    "refine-poses": "improve poses that are nearly right, each image by itself",
    "align": "how far two sets of poses, or two maps, are apart",
    "fsc": "how far two maps agree, shell by shell",
    "agreement": "what several searches for species agree on: particles, maps in one frame, a file of each species",
    "compare": "two runs of the same particles with each other, or a run with its truth",
    "reconstruct": "one map, with half-maps and resolution, from particles with poses",
    "preflight": "whether a particle set is what its star file says, before hours are spent on it",
    "info": "what a run or a particle file holds",
}
"""Command to summary; the module NAME_command of this package (with underscores) does the work."""
SHARED = ("train", "abinitio", "refine-poses")
"""What several processes do together, where torchrun has started them; everything else is the work of one."""

HELP = """\
usage: cryodrgn-plugin COMMAND ...

Heterogeneous cryo-EM reconstruction: from particles, with poses or without, to a latent space and maps of its states.

commands
{commands}

`cryodrgn-plugin COMMAND --help` explains a command and every setting, with examples.
Settings are called alike here, in RELION's labels and in Scipion's other settings; hyphens count as underscores, and a
switch takes yes or no.

a first session
  cryodrgn-plugin simulate --out sim                          particles of a moving protein
  cryodrgn-plugin info sim/particles.star                     what is in them
  cryodrgn-plugin train sim/particles.star --out run          minutes on a workstation without a GPU
  cryodrgn-plugin analyze run                                 maps and figures in run/analysis
  cryodrgn-plugin volumes run --particles 0,17,42 --out maps  the maps of three particles
  cryodrgn-plugin abinitio sim/particles.star --out new       the same without the poses that sim/particles.star has

exit codes: 0 done, 2 something to correct (said in one sentence), 3 stopped by a signal (resumable), 1 a bug
"""


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence, and whose options cannot be abbreviated by accident."""

    def __init__(self, **options) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def parse_args(self, args=None, namespace=None):
        """Bare switches take nothing of what follows; an option that is not there is told with the nearest ones."""
        words = sys.argv[1:] if args is None else list(args)
        namespace, strangers = self.parse_known_args(list(bare_switches_said(self, words)), namespace)
        if strangers:
            self.error(f"unrecognized arguments: {' '.join(strangers)}{self._what_was_meant(strangers[0], words)}")
        return namespace

    def _what_was_meant(self, stranger: str, words: list[str]) -> str:
        before = dict(zip(words[1:], words, strict=False)).get(stranger, "")
        if isinstance(self._option_string_actions.get(before), Switch):
            return f"; {before} is yes or no"
        if not stranger.startswith("--"):
            return ""
        visible = [action for action in self._actions if action.option_strings and action.help != argparse.SUPPRESS]
        near = nearest_names(stranger.partition("=")[0], [action.option_strings[-1] for action in visible])
        return f"; the nearest {'are' if near[1:] else 'is'} {', '.join(near)}"

    def error(self, message: str):
        self.exit(USER_ERROR, f"{self.prog}: {message}; see {self.prog} --help.\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line with `arguments` (default sys.argv) and return the exit code."""
    threads.settle()
    streams_out.settle()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP.format(commands="\n".join(f"  {name:12} {summary}" for name, summary in COMMANDS.items())), end="")
        return DONE
    if arguments[0] in ("-V", "--version"):
        print(f"cryodrgn-plugin {__version__}")
        return DONE
    name, *rest = arguments
    if name not in COMMANDS:
        return _refuse(f"there is no command {name!r}; the commands are {', '.join(COMMANDS)}.")
    command = importlib.import_module(f".{name.replace('-', '_')}_command", __package__)
    parser = Parser(prog=f"cryodrgn-plugin {name}")
    command.add_arguments(parser)
    parsed = parser.parse_args(rest)
    if name in SHARED:
        return _run(lambda args: _by_all(command.run, args, arguments), parsed)
    return _run(command.run, parsed) if left_to_the_first(name) else DONE


def _by_all(run, args: argparse.Namespace, arguments: list[str]) -> int:
    """What several processes share, by as many as are asked for."""
    count = processes_asked()
    return by_several(count, arguments) if count > 1 else run(args)


def _run(run, args: argparse.Namespace) -> int:
    try:
        with stop_on_signals():
            code = run(args)
            sys.stdout.flush()
            return code
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return STOPPED
    except EngineError as error:
        return _refuse(str(error))
    except MemoryError as error:
        return _refuse(explain(error))
    except OSError as error:
        if error.errno in NO_SPACE:
            return _refuse(explain(error))
        traceback.print_exc()
        return BUG
    except Exception:  # noqa: BLE001 - a bug: told with its traceback and by the exit code
        traceback.print_exc()
        return BUG


def _refuse(sentence: str) -> int:
    print(f"cryodrgn-plugin: {sentence}", file=sys.stderr)
    return USER_ERROR
