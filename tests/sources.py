"""Tests run the sources, which are what counts; tests/compiled runs the other form too, where it can be built.

To be imported before anything of the program is.
"""

import os

os.environ.setdefault("CORRAL_CORE", "interpreted")
