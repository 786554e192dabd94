"""Layout of a scored passage: constants, so that a score does not depend on any setting.

Without torch, so that the estimates of time and memory can import it.
"""

MIN_COLUMNS, MAX_COLUMNS = 16, 128
COLUMN_SYMBOLS = 1_024
"""Approximate column length of long passages, between the two numbers of columns."""
WARM_UP_SYMBOLS = 128
"""Symbols before a column over which its state is carried."""
MAX_CHUNK_STEPS = 512
"""Maximum time steps of one pass through the network."""
MAX_CHUNK_LOGITS = 1 << 24
"""64 MiB of float32: with thousands of words, a pass has fewer steps."""
MAX_DYNAMIC_SYMBOLS = 16_384
"""Symbols of a passage that dynamic evaluation reads: every 20 are one training step."""
WINDOWS_AT_ONCE = 256
"""Windows of the window regime that are scored in one batch."""


def num_columns(num_symbols: int) -> int:
    """Return the number of columns into which a passage is cut.

    >>> num_columns(14_434), num_columns(50_000)
    (16, 48)
    """
    return min(max(num_symbols // COLUMN_SYMBOLS, MIN_COLUMNS), MAX_COLUMNS)


def chunk_steps(columns: int, vocabulary_size: int) -> int:
    """Return the number of time steps of one pass through the network.

    >>> chunk_steps(16, 43), chunk_steps(128, 10_000)
    (512, 13)
    """
    return min(max(MAX_CHUNK_LOGITS // (columns * vocabulary_size), 1), MAX_CHUNK_STEPS)
