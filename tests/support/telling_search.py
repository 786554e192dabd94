"""A search whose trials say which GPU they see, and end: `python telling_search.py`."""

import os
import sys
import time
from typing import Any

from tune import run
from tune.trials import trainable


class TellingTrainable(trainable.CharLSTMTrainable):
    """Holds its resources for a moment, then fails with the GPUs that Ray shows its process."""

    def _train_on(self) -> dict[str, Any]:
        time.sleep(1)
        raise ValueError(f"sees {os.environ['CUDA_VISIBLE_DEVICES']}, trains on {self._device}")


if __name__ == "__main__":
    trainable.CharLSTMTrainable = TellingTrainable  # type: ignore[misc]
    sys.exit(run.main(sys.argv[1:]))
