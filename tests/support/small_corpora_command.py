"""Runs a command of this project with small published corpora: `… .py -m tune.run …`."""

import importlib
import sys

import pytest

from published_corpora import small_corpora

if __name__ == "__main__":
    _, _, module, *arguments = sys.argv
    with pytest.MonkeyPatch.context() as patch, small_corpora(patch):
        sys.exit(importlib.import_module(module).main(arguments))
