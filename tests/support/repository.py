"""Where the project is: its root, and what tests start as programs of their own."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
"""The real corpora, which the project does not contain."""
SHARED_CASES = SHARED_DATA.parent / "cases"
"""Inputs that failed, likewise; each a kind that tests also have one of their own of."""
