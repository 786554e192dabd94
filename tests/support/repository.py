"""Where the project is: its root, and the folder of programs that tests start."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
"""The real corpora, which the project does not contain."""
SHARED_CASES = SHARED_DATA.parent / "cases"
"""Inputs that once failed, not in the project either; tests have their own of each kind."""
