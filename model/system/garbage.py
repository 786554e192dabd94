"""Looks for garbage seldom: imported for this effect by commands and by a local Ray's workers.

Python looks through its objects each time that there are 700 more. The imports of torch, Ray and
Optuna make 280,000, which stay: a quarter of their time was such looks (Python 3.11). The process
of a notebook is its owner's: `import tune` leaves it as it is.
"""

import gc

NEW_OBJECTS = 10_000
gc.set_threshold(NEW_OBJECTS)
