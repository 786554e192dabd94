"""Layout of a scored passage: constants, so a score depends on no setting.

Torch-free, for the estimates of time and memory.
"""

MIN_COLUMNS, MAX_COLUMNS = 16, 128
COLUMN_SYMBOLS = 1_024
"""Long passages have columns of about this length, between the two numbers of columns."""
WARM_UP_SYMBOLS = 128
"""Symbols before a column that carry its state."""
MAX_CHUNK_STEPS = 512
"""Time steps of one pass through the network, at most."""
MAX_CHUNK_LOGITS = 1 << 24
"""64 MiB of float32: with thousands of words a pass has fewer steps."""
MAX_DYNAMIC_SYMBOLS = 16_384
"""Symbols of a passage that dynamic evaluation reads: each 20 are a step of training."""
WINDOWS_AT_ONCE = 256
"""Windows of the window regime that are scored side by side."""


def num_columns(num_symbols: int) -> int:
    """Return the number of columns in which a passage is scored.

    >>> num_columns(14_434), num_columns(50_000)
    (16, 48)
    """
    return min(max(num_symbols // COLUMN_SYMBOLS, MIN_COLUMNS), MAX_COLUMNS)


def chunk_steps(columns: int, vocabulary_size: int) -> int:
    """Return the time steps of one pass through the network.

    >>> chunk_steps(16, 43), chunk_steps(128, 10_000)
    (512, 13)
    """
    return min(max(MAX_CHUNK_LOGITS // (columns * vocabulary_size), 1), MAX_CHUNK_STEPS)
