"""Seeds derived from seeds: all randomness follows from a study's one seed. Needs numpy alone."""

import numpy as np


def hash_seed(*parts: int) -> int:
    """Derive an independent seed, 0 <= seed < 2**63, from whole numbers.

    >>> hash_seed(3) == hash_seed(3, 0)
    False
    """
    # Without their number, numpy takes (3,) and (3, 0) for the same.
    sequence = np.random.SeedSequence([len(parts), *parts])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
