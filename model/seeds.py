"""Seeds derived from seeds: randomness is always a function of the study's one seed."""

import numpy as np


def hash_seed(*parts: int) -> int:
    """Derive an independent seed, 0 <= seed < 2**63, from whole numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
