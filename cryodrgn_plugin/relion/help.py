"""What `cryodrgn-plugin-relion --help` prints: how to fill in RELION's External tab."""

import textwrap

from ..engine.config import Setting, explained, setting
from .arguments import JOB_LABELS, setting_labels
from .tasks import TASKS, either, looking_tasks, option_labels

_INTRODUCTION = f"""\
Heterogeneous reconstruction as an External job of RELION 3.1, 4 or 5.

On the Input tab:   External executable   cryodrgn-plugin-relion train
                    Input particles       a particles or data star file with poses and CTF
                    Without poses, the executable is cryodrgn-plugin-relion abinitio; before anything else,
                    cryodrgn-plugin-relion preflight judges the particles. The tasks
                    {either(looking_tasks())}
                    take the particles that an earlier job of this plugin made.
On the Params tab:  a label and a value per line, any of those below; an empty value keeps the default.
On the Running tab: the number of threads.
By itself:          cryodrgn-plugin-relion scheme --help writes training, analysis and selection as one scheme.

Job labels
"""


def help_text() -> str:
    jobs = [_entry(label, text) for label, text in JOB_LABELS.items()]
    engine = [_described(setting(name)) for name in setting_labels()]
    options = [line for task in TASKS if not TASKS[task].trains for line in _options(task)]
    return "\n".join([_INTRODUCTION, *jobs, *options, "\nEngine settings\n", *engine])


def _options(task: str) -> list[str]:
    """The options of a task under their heading."""
    also = ", and after train and abinitio" if task == "analyze" else ""
    entries = [_described(item) for item in option_labels(task).values()]
    return [f"\n{TASKS[task].title}: options of the task {task}{also}\n", *entries]


def _described(item: Setting) -> str:
    """A setting with its words, default and range, as the command line describes it."""
    choices = f" One of: {', '.join(item.choices)}." if item.choices else ""
    return _entry(item.name, explained(item) + choices)


def _entry(label: str, text: str) -> str:
    return textwrap.fill(text, width=110, initial_indent=f"  {label:28}", subsequent_indent=" " * 30)
