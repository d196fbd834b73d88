"""`python -m cryodrgn_plugin.engine.cli`: the command `cryodrgn-plugin`, for hosts that know their Python."""

import sys

from .main import main

sys.exit(main())
