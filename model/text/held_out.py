"""Texts of their own to be judged on, in place of the last fifth of the training text."""

import dataclasses

from model.errors import CorpusError
from model.text.corpus import Corpus, resolve_corpus
from model.text.reading import Reading
from model.text.streams import split_text

MIN_HELD_OUT_CHARS = 100
"""A shorter passage judges nothing; a corpus of the least length holds out as many."""
SHARED_CHARS = 200
"""A passage of so many characters that stands in two texts is no coincidence."""
MOST_SHARED = 0.01
"""Share of a held-out text that may stand in the training text: quotations, a licence."""
_LOOKED_AT_CHARS = 1_000_000
"""So much of a longer held-out text is compared."""
LONG_TEXT_CHARS = 1_000_000
"""Of a longer text less than a tenth is held out for each passage."""
HELD_OUT_CHARS = 50_000
"""The longest passage that trials of a long text are judged by, and the longest for the test."""
_COPIED_CHARS = 500
"""Of a text split by position, passages of so many characters are taken for copies: the lines of
a log, alike but for their numbers, are not that long."""
_MOST_COPIED = 0.1
_MOST_COMPARED_CHARS = 20_000_000
"""A longer text is not searched for copies: its passages take as much memory as the text."""
TRAINING_TENTHS = 9
"""What the training text keeps where one passage is taken from its end."""


def with_named_held_out(
    corpus: Corpus, reading: Reading, *, validation: str | None, test: str | None
) -> Corpus:
    """Return a corpus whose held-out parts are the texts that the user names, if any.

    Args:
        corpus: The training text.
        reading: How their bytes are read.
        validation: As in `resolve_corpus`; None is no text of its own.
        test: The same.

    Raises:
        CorpusError: A text cannot be had, is refused by `with_held_out`, or the corpus has
            published parts.
    """
    if corpus.is_published and (validation, test) != (None, None):
        raise CorpusError(
            f"a corpus must have published parts or --validation and --test, and {corpus.name} "
            f"has the former"
        )
    of_validation, of_test = (
        None if name is None else resolve_corpus(name, reading) for name in (validation, test)
    )
    return with_held_out(corpus, validation=of_validation, test=of_test)


def with_short_held_out(corpus: Corpus) -> Corpus:
    """Return a text whose held-out parts are at most HELD_OUT_CHARS long, if it is a long one.

    Trials are judged several times an epoch there, which must not take longer than the training.

    Args:
        corpus: Split by position, or with held-out parts of its own, of which the first
            characters are kept; of a published test passage all are.
    """
    if len(corpus.text) <= LONG_TEXT_CHARS:
        return corpus
    if corpus.lengths is None:
        lengths = len(corpus.text) - 2 * HELD_OUT_CHARS, HELD_OUT_CHARS
        return dataclasses.replace(corpus, lengths=lengths)
    train_end, validation_end = corpus.lengths[0], sum(corpus.lengths)
    validation = corpus.text[train_end:validation_end][:HELD_OUT_CHARS]
    test = corpus.text[validation_end:]
    if not corpus.is_published:
        test = test[:HELD_OUT_CHARS]
    text = corpus.text[:train_end] + validation + test
    return dataclasses.replace(corpus, text=text, lengths=(train_end, len(validation)))


def with_held_out(corpus: Corpus, *, validation: Corpus | None, test: Corpus | None) -> Corpus:
    """Return a corpus whose held-out parts are texts of their own.

    Where one of the two is not given, the last tenth of the training text takes its place.

    Args:
        corpus: The training text.
        validation: What trials are judged by.
        test: What finalists and the predictor are judged by, once.

    Raises:
        CorpusError: A text is too short, or much of it stands in one before it.
    """
    if validation is None and test is None:
        return corpus
    train, last = str(corpus.text), ""
    if validation is None or test is None:
        end = len(train) * TRAINING_TENTHS // 10
        train, last = train[:end], train[end:]
    source = corpus.source
    parts = [train]
    for name, named in (("validation", validation), ("test", test)):
        held_out = named or dataclasses.replace(
            corpus, name=f"the last tenth of {corpus.name}", source="its last tenth", text=last
        )
        # A text may repeat itself: its own last tenth is compared with the other texts alone.
        _check_apart(name, held_out, "".join(parts if named else parts[1:]))
        if len(held_out.text) < MIN_HELD_OUT_CHARS:
            raise CorpusError(
                f"the {name} text must have at least {MIN_HELD_OUT_CHARS} characters, got "
                f"{len(held_out.text)}"
            )
        parts.append(str(held_out.text))
        source = f"{source}; {name}: {held_out.source}"
    lengths = len(parts[0]), len(parts[1])
    return dataclasses.replace(
        corpus, source=source, text="".join(parts), lengths=lengths, has_own_held_out=True
    )


def _check_apart(name: str, held_out: Corpus, known: str) -> None:
    """Refuse a held-out text that is known already.

    Raises:
        CorpusError: More than MOST_SHARED of it are passages of the texts before it.
    """
    share, example = shared(str(held_out.text), known)
    if share > MOST_SHARED:
        others = "training text" if name == "validation" else "training or validation text"
        raise CorpusError(
            f"the {name} text must not stand in the {others}, but {share:.0%} of "
            f"{held_out.name} does: {example[:40]!r}, for one"
        )


def warning_of_copies(corpus: Corpus) -> str:
    """Return the warning that the validation passage stands in the training part too.

    Empty if it does not, and for texts that are held out by name: those are refused.
    """
    if corpus.has_own_held_out or len(corpus.text) > _MOST_COMPARED_CHARS:
        return ""
    split = split_text(str(corpus.text), corpus.lengths)
    share, example = shared(split.validation, split.train, length=_COPIED_CHARS)
    if share <= _MOST_COPIED:
        return ""
    return (
        f"{share:.0%} of the validation passage stands word for word in the training part "
        f"({example[:40]!r}, for one): its scores say what was remembered. Leave copies out of "
        f"the text, or name another with --validation"
    )


def shared(text: str, other: str, *, length: int = SHARED_CHARS // 2) -> tuple[float, str]:
    """Return which share of a text are passages of another, and the beginning of the first.

    Args:
        text: The text.
        other: The other.
        length: Passages of twice this and more are found, and many of no more than this.
    """
    known = {other[at : at + length] for at in range(0, len(other) - length + 1, length)}
    text = text[:_LOOKED_AT_CHARS]
    covered = bytearray(len(text))
    starts = [at for at in range(len(text) - length + 1) if text[at : at + length] in known]
    if not starts:
        return 0.0, ""
    for at in starts:
        covered[at : at + length] = b"\1" * length
    return covered.count(1) / len(text), text[starts[0] : starts[0] + length]
