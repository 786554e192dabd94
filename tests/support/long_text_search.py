"""A search that treats a short text as long: `python tests/support/long_text_search.py FLAGS`.

A million characters would take minutes. Workers learn it from a trial's settings.
"""

import sys

from model.text import held_out
from search_spaces import long_text
from tune import run

LONG_TEXT_CHARS, HELD_OUT_CHARS, REPORT_CHARS = 3_000, 500, 500

if __name__ == "__main__":
    held_out.LONG_TEXT_CHARS = long_text.LONG_TEXT_CHARS = LONG_TEXT_CHARS
    held_out.HELD_OUT_CHARS = HELD_OUT_CHARS
    long_text.REPORT_CHARS = REPORT_CHARS
    sys.exit(run.main(sys.argv[1:]))
