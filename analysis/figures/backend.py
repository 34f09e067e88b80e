"""matplotlib, whatever the environment says about backends.

Notebooks export MPLBACKEND, and matplotlib refuses to be imported where that names one that is not installed. Figures here
are made without pyplot and need no backend; one that can be used is left to others in the process, as they asked for it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

wanted = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
finally:
    if wanted is not None:
        os.environ["MPLBACKEND"] = wanted
if wanted:
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = wanted
