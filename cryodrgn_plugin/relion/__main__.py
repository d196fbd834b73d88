"""`python -m cryodrgn_plugin.relion`, the same as the console script `cryodrgn-plugin-relion`."""

import sys

from .main import main

sys.exit(main())
