"""Heterogeneous cryo-EM reconstruction inside Scipion and RELION.

The engine (`cryodrgn_plugin.engine`) knows cryo-EM and torch and nothing of any host. `Plugin`, the class Scipion looks
for, is served lazily so that importing the engine needs no Scipion.
"""

__version__ = "0.1.0"


def __getattr__(name: str):
    if name in ("Plugin", "_logo", "_references"):
        from . import plugin

        return getattr(plugin, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
