"""Whose letters are scored (letters.py); reports read this without torch."""

from collections.abc import Sequence

from model.config import TrialConfig


def has_letters(config: TrialConfig) -> bool:
    """Return whether `score_letters` scores a network of this configuration."""
    return config.regime == "stream" and config.unit == "char"


def judged_by_letters(configs: Sequence[TrialConfig]) -> set[int]:
    """Return the places of those whose letters are scored.

    Letters compare cleanings. Networks of one cleaning are ranked by the objective as well, which
    takes a hundredth of the time.

    Args:
        configs: Configurations, best first.

    Returns:
        The first place of each cleaning that has letters; empty if there is only one.
    """
    places: dict[str, int] = {}
    for place, config in enumerate(configs):
        if has_letters(config):
            places.setdefault(config.cleaning, place)
    return set(places.values()) if len(places) > 1 else set()
