"""A command of this project that goes on until its stdin ends."""

import sys

sys.stdin.read()
