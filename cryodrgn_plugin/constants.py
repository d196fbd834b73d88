"""Names that the Scipion half of the plugin shares: the program name in flexibility objects, columns, menu labels."""

DISPLAY_NAME = "HetEM"
"""What users see before the name of a protocol."""

PROGRAM_NAME = "cryodrgn_plugin"
"""FlexInfo program name of every flexibility object made here."""

ID_COLUMN = "cdrgObjId"
"""Star column that carries the Scipion object id of a particle, so that results are matched by id and never by row."""

RUN_FOLDER = "run"
"""Folder of the engine's run inside a protocol's extra folder."""

PYTHON_VARIABLE = "CRYODRGN_PLUGIN_PYTHON"
"""Scipion variable: the python that runs the engine; empty means the host's own."""

PROCESSES_VARIABLE = "CRYODRGN_PLUGIN_PROCESSES"
"""Scipion variable, and the engine's own: how many processes share a training; empty means one."""

# Attributes of a FlexInfo made by the training protocol.
FLEX_RUN = "runFolder"
FLEX_RECIPE = "recipe"
