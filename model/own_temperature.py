"""The temperature of a checkpoint: where it writes most like the book that it has learnt.

Who has measured it (temperature.py) writes it beside the network, so that it goes where the
checkpoint goes.
"""

import json
from pathlib import Path

from model.config import TrialConfig
from model.errors import CheckpointError
from model.system.files import standing, write_whole

TEMPERATURE_FILE = "temperature.json"
DEFAULT_TEMPERATURE = 0.8
"""Where nobody has measured: what `temperature.least_far` was tried on gave 0.7 or 0.8."""


def default_temperature(checkpoint: Path, config: TrialConfig) -> float:
    """Return the temperature at which a checkpoint writes if nothing else is asked for.

    Args:
        checkpoint: Its folder.
        config: Its configuration; networks of the window regime are greedy, as the reference's.

    Raises:
        CheckpointError: The file that tells the temperature is damaged.
    """
    file = standing(checkpoint) / TEMPERATURE_FILE
    if not file.exists():
        return DEFAULT_TEMPERATURE if config.regime == "stream" else 0.0
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["temperature"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"damaged checkpoint {checkpoint}: {TEMPERATURE_FILE}") from error


def write_temperature(checkpoint: Path, temperature: float) -> None:
    """Write beside a checkpoint at which temperature it is most like its book."""
    text = json.dumps({"temperature": temperature}) + "\n"
    write_whole(checkpoint / TEMPERATURE_FILE, text.encode())
