"""What is installed here beside Python."""

import re
import shutil
import subprocess


def has_node() -> bool:
    """Whether there is a node that can write JUnit's XML."""
    program = shutil.which("node")
    if program is None:
        return False
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", said)
    return version is not None and int(version[1]) >= 20
