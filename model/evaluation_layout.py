"""How a passage is laid out when it is scored: constants, so a score depends on no setting."""

MIN_COLUMNS, MAX_COLUMNS = 16, 128
COLUMN_CHARS = 1_024
"""Long passages have columns of about this length, between the two numbers of columns."""
WARM_UP_CHARS = 128
"""Characters before a column that carry its state."""
CHUNK_STEPS = 512
"""Time steps of one pass through the network."""
WINDOWS_AT_ONCE = 256
"""Windows of the window regime that are scored side by side."""


def num_columns(num_chars: int) -> int:
    """Return how many columns a passage of so many characters is scored in.

    >>> num_columns(14_434), num_columns(50_000)
    (16, 48)
    """
    return min(max(num_chars // COLUMN_CHARS, MIN_COLUMNS), MAX_COLUMNS)
