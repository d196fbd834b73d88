"""`python -m cryodrgn_plugin.relion`, the same as the console script `cryodrgn-plugin-relion`."""

import sys

from .entry import main

sys.exit(main())
