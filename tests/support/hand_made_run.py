"""A hand-made run that has everything a run can have, for the tests that read one."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from optuna.distributions import CategoricalDistribution

from model.generation.quality import TextQuality
from model.scoring.objective import OBJECTIVE_VERSION, Floor
from search_spaces import load_space
from tune.records.finalist_table import (
    FINALIST_TABLE,
    SEEDS_AT_MOST,
    TestPassageScores,
    finalist_row,
)
from tune.records.load import LoadedRun
from tune.records.predictor_table import CACHE, NETWORK, NGRAM, PREDICTOR, PredictorRecord
from tune.records.quality_table import CHECKPOINT, QUALITY_TABLE, QualityRecord
from tune.records.samples_file import Passage, Samples
from tune.records.study_file import CorpusOrigin, ObjectiveFacts, StudyFile, StudySettings
from tune.records.tables import epochs_frame, trials_frame
from tune.records.trial import EpochRecord, Status, TrialRecord

FULL = load_space("full")
SPACE = dataclasses.replace(  # the floors and prices below are for these
    FULL,
    distributions={
        **FULL.distributions,
        "cleaning": CategoricalDistribution(("cased", "lower", "letters")),
    },
)
SPACE_WITH_UNITS = dataclasses.replace(
    SPACE,
    distributions={"unit": CategoricalDistribution(("char", "word")), **SPACE.distributions},
    baselines=tuple(
        dataclasses.replace(baseline, params={**baseline.params, "unit": "char"})
        for baseline in SPACE.baselines
    ),
    budget=dataclasses.replace(SPACE.budget, compare_within=("unit",)),
)

STUDY = StudyFile(
    command="python -m tune.run --space full --corpus book.txt",
    space=SPACE,
    settings=StudySettings(),
    corpus=CorpusOrigin(name="book.txt", source="file book.txt", num_chars=144_342, sha256="70f0"),
    objective=ObjectiveFacts(
        version=OBJECTIVE_VERSION,
        floor_order=5,
        floors={
            "cased": Floor(validation_bits_per_char=2.2666, test_bits_per_char=2.3638),
            "lower": Floor(validation_bits_per_char=2.2213, test_bits_per_char=2.2661),
            "letters": Floor(validation_bits_per_char=1.9159, test_bits_per_char=1.9818),
        },
        restoration_bits_per_char={"cased": 0.0, "lower": 0.0453, "letters": 0.3507},
    ),
    machine="x86_64 Linux, 2 CPU",
    search_seconds=605.4,
    ended="ended by its time budget",
)


SAMPLES = Samples(
    passages=(
        Passage(
            caption="1.9600 bits per character: 1 x 512, lower, epoch 2",
            how="temperature 0.8, seed 0",
            text="said the hatter.\n\n    ## no heading\nthe end",
            quality=TextQuality(book_word_share=0.9, longest_copied_chars=21.0),
            book=TextQuality(book_word_share=0.95, own_bits_per_char=1.914),
        ),
    ),
    at_temperatures=((0.5, "off with"), (1.0, "his head")),
)
QUALITY = QualityRecord(
    writer=CHECKPOINT,
    name="checkpoint 1",
    checkpoint=1,
    cleaning="lower",
    temperature=0.6,
    passages=3,
    quality=SAMPLES.passages[0].quality,
    distance=2.0,
    nearest=True,
    word_list=None,
)
PREDICTOR_ROWS = [
    PredictorRecord(
        kind=kind,
        name=name,
        number=3 if kind == NETWORK else None,
        weight=weight,
        val_bits_per_char=test - 0.1,
        test_bits_per_char=test,
        gain_bits_per_char=None if kind == PREDICTOR else 0.05,
        milliseconds_per_symbol=0.5,
    )
    for kind, name, weight, test in (
        (PREDICTOR, PREDICTOR, 1.0, 1.85),
        (NETWORK, "trial 3", 0.7, 1.98),
        (NGRAM, "4-gram", 0.3, 2.14),
    )
]
CACHE_ROW = PredictorRecord(
    kind=CACHE,
    name="cache of 4 to 12 symbols",
    val_bits_per_char=1.85,
    test_bits_per_char=1.97,
    gain_bits_per_char=0.1,
)
HOSTILE = (
    """</script><script>pwned()</script><img src=http://evil/a onerror="pwned()"> ![b](//evil/b)"""
)


def curve(number: int, bits: list[float]) -> list[EpochRecord]:
    return [
        EpochRecord(
            trial_id=f"trial_{number:05d}",
            number=number,
            epoch=epoch,
            train_nats_per_char=value * 0.7,
            val_nats_per_char=value * 0.69,
            val_own_bits_per_char=value - 0.05,
            val_bits_per_char=value,
            elapsed_seconds=2.0 * epoch,
            search_seconds=30.0 * number + 2 * epoch,
        )
        for epoch, value in enumerate(bits, start=1)
    ]


def hand_made() -> list[TrialRecord]:
    records = [
        TrialRecord(
            number=number,
            config=SPACE.config(baseline.params),
            baseline=baseline.name,
            status=Status.COMPLETE,
            epochs=curve(number, [3.0, 2.2 - number / 20]),
        )
        for number, baseline in enumerate(SPACE.baselines)
    ]
    base = SPACE.base
    return [
        *records,
        TrialRecord(
            number=3, config=base, status=Status.COMPLETE, epochs=curve(3, [2.5, 1.96, 1.99])
        ),
        TrialRecord(
            number=4,
            config=dataclasses.replace(base, cleaning="cased"),
            status=Status.PRUNED,
            epochs=curve(4, [3.4]),
        ),
        TrialRecord(
            number=5, config=base, status=Status.DIVERGED, error="diverged in epoch 1 at step 3"
        ),
        TrialRecord(number=6, config=base, status=Status.FAILED, error="OSError: a | b"),
    ]


def finalist(number: int, finalist_seed: int, bits: float, baseline: str = "") -> dict[str, Any]:
    record = TrialRecord(
        number=number * SEEDS_AT_MOST + finalist_seed,
        config=SPACE.base,
        baseline=baseline,
        status=Status.COMPLETE,
        epochs=curve(number, [3.0, bits]),
    )
    first = finalist_seed == 0
    scores = TestPassageScores(
        test_bits_per_char=bits + 0.1,
        test_bits_per_letter=bits + 0.2,
        letter_particles=32,
        test_bits_per_letter_quarter=bits + 0.22 if first else None,
        test_bits_per_letter_sixteenth=bits + 0.3 if first else None,
    )
    return finalist_row(record, scores)


FINALISTS = [
    *(finalist(3, seed, bits) for seed, bits in enumerate([1.97, 1.98, 1.99])),
    *(finalist(2, seed, bits, "experiment 3") for seed, bits in enumerate([2.1, 2.11, 2.12])),
    *(finalist(4, seed, bits) for seed, bits in enumerate([1.98, 1.985, 1.99])),
]


def loaded_run(
    records: Iterable[TrialRecord], finalists: Iterable[dict[str, Any]] = (), **study: Any
) -> LoadedRun:
    """Return a run of some records; `study` replaces values of STUDY."""
    records = list(records)
    return LoadedRun(
        name="run",
        study=dataclasses.replace(STUDY, **study),
        trials=trials_frame(records),
        epochs=epochs_frame(records),
        finalists=FINALIST_TABLE.of(finalists),
        quality=QUALITY_TABLE.of(()),
    )
