"""What `cryodrgn-plugin-relion --help` prints: how to fill in RELION's External tab."""

import textwrap

from ..engine.analysis.options import AnalysisOptions, option_help
from ..engine.config import setting
from .arguments import JOB_LABELS, setting_labels

_INTRODUCTION = """\
Heterogeneous reconstruction as an External job of RELION 3.1, 4 or 5.

On the Input tab:   External executable   cryodrgn-plugin-relion train
                    Input particles       a particles or data star file with poses and CTF
                    Without poses, the executable is cryodrgn-plugin-relion abinitio.
On the Params tab:  a label and a value per line, any of those below; an empty value keeps the default.
On the Running tab: the number of threads.

Job labels
"""


def help_text() -> str:
    jobs = [_entry(label, text) for label, text in JOB_LABELS.items()]
    engine = [_entry(name, f"{setting(name)[2]} (default {setting(name)[1]})") for name in setting_labels()]
    options = [_entry(name, f"{text} (default {_word(name)})") for name, text in option_help().items()]
    return "\n".join([_INTRODUCTION, *jobs, "\nAnalysis options\n", *options, "\nEngine settings\n", *engine])


def _entry(label: str, text: str) -> str:
    return textwrap.fill(text, width=110, initial_indent=f"  {label:28}", subsequent_indent=" " * 30)


def _word(option: str) -> str:
    default = getattr(AnalysisOptions(), option)
    return str(default) if not isinstance(default, bool) else "yes" if default else "no"
