"""Fits a space to a text: leaves out choices for which the text is too short or too poor."""

import dataclasses

from model.config import TrialConfig
from model.errors import CorpusError, UnfitCleaning
from model.scoring.objective import Floors, PreparedCorpus, prepare_corpus
from model.text.corpus import Corpus
from model.text.streams import EncodedCorpus, training_sha256
from model.training.cost import check_fits
from search_spaces import SearchSpace
from search_spaces.narrow import at_most, without

_SIZES = ("batch_size", "sequence_length")
_FIELDS = ("cleaning", "unit", "regime", *_SIZES)
"""Fields that need a long enough text; min_word_count does not change its number of words."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A space for which a text is long enough, and the text.

    Attributes:
        space: The space, without what does not fit.
        prepared: The text, prepared for the space.
        left_out: What was left out and why, one sentence each.
    """

    space: SearchSpace
    prepared: PreparedCorpus
    left_out: tuple[str, ...]


def fitted(space: SearchSpace, corpus: Corpus, floors: Floors | None = None) -> Fitted:
    """Leave out of a space what a text does not fit.

    Args:
        space: The space to search.
        corpus: The text.
        floors: The text's floors, if known.

    Raises:
        CorpusError: Nothing would be left.
    """
    original = space
    notes: list[str] = []
    while True:
        try:
            cleanings = space.values("cleaning")
            prepared = prepare_corpus(
                corpus.text,
                cleanings,
                floors=floors,
                lengths=corpus.lengths,
                min_char_count=space.base.min_char_count,
            )
            break
        except UnfitCleaning as unfit:
            smaller = without(space, "cleaning", unfit.cleaning)
            if smaller is None:
                raise
            notes.append(f"cleaning {unfit.cleaning} is left out: {unfit}")
            space = smaller
    for cleaning, same in _repeated(space, prepared).items():
        space = without(space, "cleaning", cleaning) or space
        notes.append(f"cleaning {cleaning} is left out: it makes this text the same as {same}")
    while (misfit := _misfit(space, prepared)) is not None:
        config, error = misfit
        narrowed = _smaller(space, config, prepared)
        if narrowed is None:
            raise error
        axis, space = narrowed
        notes.append(f"{axis} has fewer values: {error}")
    kept = {baseline.name for baseline in space.baselines}
    gone = [each.name for each in original.baselines if each.name not in kept]
    notes += [f"baseline {name} is left out: it has a value that is left out" for name in gone]
    encoded = {name: prepared.encoded[name] for name in space.values("cleaning")}
    return Fitted(
        space=space,
        prepared=dataclasses.replace(prepared, encoded=encoded, location=corpus.path_or_name),
        left_out=tuple(dict.fromkeys(notes)),
    )


def _repeated(space: SearchSpace, prepared: PreparedCorpus) -> dict[str, str]:
    """Return the cleanings that make the same text as another one, and which one that is.

    A text in lower case would be searched twice. What the base and the baselines have stays.
    """
    cleanings = space.values("cleaning")
    needed = {space.base.cleaning, *(each.params.get("cleaning") for each in space.baselines)}
    kept = [cleaning for cleaning in cleanings if cleaning in needed]
    repeated = {}
    for cleaning in cleanings:
        if cleaning in kept:
            continue
        encoded = prepared.encoded[cleaning]
        same = [name for name in kept if _are_equal(prepared.encoded[name], encoded)]
        if same:
            repeated[cleaning] = same[0]
        else:
            kept.append(cleaning)
    return repeated


def _are_equal(one: EncodedCorpus, other: EncodedCorpus) -> bool:
    """Return whether two cleanings of a text have made the same of it."""
    # Comparing a gigabyte by numpy would take another.
    return one.vocabulary == other.vocabulary and training_sha256(one) == training_sha256(other)


def _misfit(
    space: SearchSpace, prepared: PreparedCorpus
) -> tuple[TrialConfig, CorpusError] | None:
    """Return the first of the space's extremes for which the text is too short."""
    for config in space.corners(_FIELDS):
        error = _why_unfit(config, prepared.streams(config))
        if error is not None:
            return config, error
    return None


def _why_unfit(config: TrialConfig, corpus: EncodedCorpus) -> CorpusError | None:
    """Return what the trainer would raise for a configuration; None if it fits."""
    try:
        check_fits(config, corpus)
    except CorpusError as error:
        return error
    return None


def _smaller(
    space: SearchSpace, config: TrialConfig, prepared: PreparedCorpus
) -> tuple[str, SearchSpace] | None:
    """Return the axis to narrow because a configuration does not fit, and the narrowed space.

    Where only words are too few, as in a table or in DNA, they go and the sizes stay: otherwise
    the networks of characters would lose those too.
    """
    of_chars = dataclasses.replace(config, unit="char")
    if config.unit == "word" and _why_unfit(of_chars, prepared.streams(of_chars)) is None:
        without_words = without(space, "unit", "word")
        if without_words is not None:
            return "unit", without_words
    for axis, most in _limits(config, prepared.streams(config)).items():
        smaller = at_most(space, axis, most)
        if smaller is not None and smaller != space:
            return axis, smaller
    for axis in ("unit", "cleaning"):
        smaller = without(space, axis, getattr(config, axis))
        if smaller is not None:
            return axis, smaller
    return None


def _limits(config: TrialConfig, corpus: EncodedCorpus) -> dict[str, int]:
    """Return the fields of a configuration that are too large, and each one's maximum."""
    most = len(corpus.train.symbols) - 1
    limits = {axis: most for axis in _SIZES if getattr(config, axis) > most}
    if limits:
        return limits
    for axis in _SIZES:  # either can help with the reports
        fitting, unfit = 0, getattr(config, axis)
        while fitting + 1 < unfit:
            middle = (fitting + unfit) // 2
            smaller = dataclasses.replace(config, epochs=1, **{axis: middle})
            if _why_unfit(smaller, corpus) is None:
                fitting = middle
            else:
                unfit = middle
        limits |= {axis: fitting} if fitting else {}
    return limits
