"""Tests run the sources, which are what counts; tests/compiled runs the other form too, where it can be built.

And they know nothing of the user's settings, nor do the commands that they start. To be imported before anything of the
program is.
"""

import os
from pathlib import Path

CORE = "CORRAL_CORE"
OURS = (CORE, "CORRAL_TEST_", "CORRAL_BROWSER", "CORRAL_COMPILE")
"""What is said to the tests, or to what builds the core."""

for name in [name for name in os.environ if name.startswith("CORRAL_") and not name.startswith(OURS)]:
    del os.environ[name]
os.environ.setdefault(CORE, "interpreted")

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corral-tests"
"""What tests keep from one run to the next, and make anew where it is gone."""
