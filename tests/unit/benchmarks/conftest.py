"""The modules of the benchmarks, which are programs and no package."""

import sys

from support.tools import ROOT

sys.path.append(str(ROOT / "benchmarks"))
