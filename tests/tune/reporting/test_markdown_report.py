"""report.md from hand-made tables: the text is a function of tables and study.json alone."""

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hand_made_run import (
    FINALISTS,
    HOSTILE,
    SPACE,
    SPACE_WITH_UNITS,
    STUDY,
    curve,
    finalist,
    hand_made,
    loaded_run,
)
from model.scoring.objective import Floor
from model.scoring.resemblance import Resemblance
from model.training.checkpoint import copy_model
from repository import ROOT
from search_spaces.long_text import for_text
from search_spaces.narrow import with_layer_norm
from tune import report, samples
from tune.records.finalist_table import (
    FINALIST_TABLE,
    SCORE_COLUMNS,
    SEEDS_AT_MOST,
    TestPassageScores,
    known_scores,
)
from tune.records.json_file import read_json
from tune.records.run_folder import RunFolder
from tune.records.samples_file import Samples
from tune.records.study_file import STILL_RUNNING, ObjectiveFacts, PlannedTime
from tune.records.tables import epochs_frame, ranked, trials_frame
from tune.records.trial import Status, TrialRecord
from tune.reporting.axes import axis_shares
from tune.reporting.confirmation import verdict
from tune.reporting.contents import best_notes, best_table
from tune.reporting.headline import facts, headline
from tune.reporting.markdown_report import report_text

GOLDEN = Path(__file__).parent / "golden" / "report.md"


def text_of(
    records: list[TrialRecord], finalists: Iterable[dict[str, Any]] = (), **study: Any
) -> str:
    return report_text(loaded_run(records, finalists, **study))


def test_report_is_the_golden_one_byte_for_byte() -> None:
    assert text_of(hand_made(), FINALISTS) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["extended", "extended-python-docs", "full"])
def test_report_of_a_published_run_is_the_published_one(name: str, tmp_path: Path) -> None:
    published = ROOT / "results" / "reference" / name
    shutil.copytree(published, tmp_path / name)
    assert report.main([str(tmp_path / name)]) == 0
    for text in ("report.md", "study.json", "trials.csv"):
        assert (tmp_path / name / text).read_bytes() == (published / text).read_bytes(), text


def test_texts_of_others_are_no_markup() -> None:
    records = hand_made()
    for record in records[:3]:
        record.baseline = f"{HOSTILE}\x1b[2J"
    finalists = [finalist(0, 0, 1.9, HOSTILE), finalist(3, 0, 1.97)]
    text = text_of(records, [finalist(3, 0, 1.8), *finalists], machine=HOSTILE, ended=HOSTILE)
    assert text.count("&lt;script>pwned()") > 5
    assert "<" not in text and "\x1b" not in text and "![" not in text


@pytest.mark.slow
def test_winner_is_compared_with_what_the_search_started_from() -> None:
    base, *others = hand_made()[3:]
    assert (
        "The winner is one of the search's starts: no proposed configuration is better."
        in text_of(hand_made())
    )
    better = TrialRecord(
        number=7, config=SPACE.base, status=Status.COMPLETE, epochs=curve(7, [1.95])
    )
    said = "The best of the search's starts, trial 3, scores 1.9600, 0.0100 bits more."
    assert said in text_of([*hand_made(), better])
    # Where the base was not measured, the next trial is none that the search started from.
    failed = dataclasses.replace(base, epochs=[], status=Status.FAILED, error="x")
    assert "the search's starts" not in text_of([*hand_made()[:3], failed, *others, better])


def test_start_is_known_where_a_kill_let_it_come_before_the_baselines() -> None:
    records = [
        dataclasses.replace(each, number=number, epochs=curve(number, [each.objective]))
        for number, each in enumerate([hand_made()[3], *hand_made()[:3]])
    ]
    assert records[0].baseline == "" and records[3].baseline
    assert "The winner is one of the search's starts" in text_of(records)


def test_empty_and_all_failed_studies_give_a_readable_report() -> None:
    assert "No trial trained an epoch" in text_of([])
    failed = [record for record in hand_made() if record.error]
    text = text_of(failed)
    assert "1 DIVERGED, 1 FAILED" in text
    assert "OSError: a \\| b" in text


def test_parts_of_epochs_are_counted() -> None:
    space = for_text(STUDY.space, 12_000_000, on_gpu=False)
    records = []
    for number, reports in enumerate((5, 1)):
        epochs = [
            dataclasses.replace(each, epoch=space.base.epochs_at(each.report))
            for each in curve(number, [2.0 - report / 100 for report in range(reports)])
        ]
        status = Status.PRUNED if number else Status.STOPPED
        config = space.config({"epochs": 3.1})
        baseline = "" if number else "experiment 1"
        records.append(
            TrialRecord(
                number=number, config=config, baseline=baseline, status=status, epochs=epochs
            )
        )
    run = loaded_run(records, space=space)
    text = report_text(run)
    assert ", 0.12 epochs, " in text and ", 0.12 epochs, " in str(facts(run))
    assert "| 0.1 of 3.1 epochs |" in text
    assert "| 0.0200 | 2 | 1 |" in text  # the first rung: two trials reached it, one was stopped


@pytest.mark.slow
def test_field_that_only_the_baselines_have_otherwise_is_among_the_settings() -> None:
    space = with_layer_norm(dataclasses.replace(SPACE, most_chars=1_000_000), kept=())
    records = [
        dataclasses.replace(each, config=dataclasses.replace(each.config, normalization="layer"))
        if not each.baseline
        else each
        for each in hand_made()
    ]
    said = text_of(records, space=space)
    assert ", normalization layer." in said.split("## The ten best")[0]
    assert "| normalization |" in said
    assert "The baselines use normalization none (other trials: layer)." in said
    assert "normalization" not in text_of(hand_made())


@pytest.mark.slow
def test_winner_of_a_worthless_search_has_a_warning() -> None:
    reason = "no trial was better than a uniform guess: <b>"
    assert f"**Warning**: {reason.replace('<', '&lt;')}." in text_of(
        hand_made(), found_nothing=reason
    )
    assert "**Warning**" not in text_of(hand_made())


def test_winner_whose_cleaning_has_no_price_has_a_warning() -> None:
    facts = loaded_run(hand_made()).study.objective
    cleaning = ranked(loaded_run(hand_made()).trials).iloc[0]["cleaning"]
    dearer = dataclasses.replace(facts.floors["cased"], validation_bits_per_char=9.0)
    without_price = dataclasses.replace(facts, floors={**facts.floors, cleaning: dearer})
    alike = Resemblance(validation_bits_per_char=2.0, training_bits_per_char=2.0)
    warning = f"the n-gram finds no price for what cleaning {cleaning} loses"
    for objective, resemblance, told in (
        (without_price, alike, True),
        (facts, alike, False),
        (without_price, None, False),  # of a short text, or an earlier run
    ):
        text = text_of(hand_made(), objective=objective, resemblance=resemblance)
        assert (warning in text) == told


def test_networks_that_are_worse_than_the_ngram_are_said_to_be_first_of_all() -> None:
    raw = Floor(validation_bits_per_char=1.9, test_bits_per_char=2.0)
    objective = ObjectiveFacts(
        version=2, floor_order=9, floors={"cased": raw}, restoration_bits_per_char={"cased": 0.0}
    )
    text = text_of(hand_made(), objective=objective)
    assert "**Warning**: no network beats the n-gram, which scores 1.9000 bits" in text
    assert "The floor, a Kneser-Ney 9-gram that trains in a second, scores 1.9000." in text
    assert headline(loaded_run(hand_made(), objective=objective)).startswith(
        "No network beats a Kneser-Ney 9-gram, which trains in a second and scores 1.900 bits per "
        "character. The best network, "
    )
    assert headline(loaded_run(hand_made())).startswith("The best network, ")


def test_trials_of_one_configuration_are_one_row() -> None:
    records = hand_made()
    twin = dataclasses.replace(
        records[3],
        number=9,
        config=dataclasses.replace(records[3].config, seed=99),
        epochs=curve(9, [2.4, 1.97]),
    )
    run = loaded_run([*records, twin])
    numbers = best_table(run)["number"].tolist()
    assert 3 in numbers and 9 not in numbers
    assert "1 trial repeats a configuration; the table shows the best of each." in best_notes(run)
    assert not any("repeat" in note for note in best_notes(loaded_run(records)))


@pytest.mark.slow
def test_what_was_planned_stands_beside_what_it_took() -> None:
    assert "Planned time" not in text_of(hand_made())  # a run from before there were estimates
    estimate = PlannedTime(
        planned_seconds=(300.0, 1_500.0),
        planned_trials=(7, 7),
        measured_trials=5,
        measured_by_predicted=(0.9, 1.1, 1.4),
    )
    text = text_of(hand_made(), estimate=estimate)
    assert (
        "Planned time: 5m to 25m; actual time: 10m5s. Epochs took 1.10 times the predicted time "
        "(median of 5 trials; middle 80 %: 0.90 to 1.40)."
    ) in text
    assert "memory" not in text
    known = dataclasses.replace(estimate, memory_trials=4, memory_by_predicted=(0.68, 0.7, 1.2))
    assert (
        "to 1.40). Trials used 0.70 times the predicted memory (median of 4 trials; middle 80 %: "
        "0.68 to 1.20)."
    ) in text_of(hand_made(), estimate=known)
    unmeasured = dataclasses.replace(estimate, measured_trials=0, measured_by_predicted=None)
    text = text_of(hand_made(), estimate=unmeasured)
    assert "actual time: 10m5s.\n" in text
    # A resumed run's study.json has the seconds of its earlier sessions, its tables the rest.
    for earlier_seconds, said in ((0.0, "1m36s"), (90.0, "1m36s"), (125.0, "2m5s")):
        resumed = loaded_run(
            hand_made(), estimate=unmeasured, ended=STILL_RUNNING, search_seconds=earlier_seconds
        )
        text = report_text(
            dataclasses.replace(
                resumed,
                trials=resumed.trials.assign(search_seconds=0.0),
                epochs=resumed.epochs.assign(search_seconds=95.6),
            )
        )
        assert f", {said}; still running." in text
        assert "Planned time: 5m to 25m.\n" in text


@pytest.mark.slow
def test_unconfirmed_winner_is_said_to_be_one() -> None:
    earlier = text_of(hand_made())  # its study.json does not say why
    assert "To find out, use `--finalists` and leave time for them in the time budget." in earlier
    text = text_of(hand_made(), unconfirmed="--finalists 0 was given")
    assert (
        "No: nothing was retrained, so it is unknown how much of the winner's lead is luck. "
        "Reason: --finalists 0 was given.\n"
    ) in text
    none = FINALIST_TABLE.read(Path("nowhere.csv"))
    assert report_text(dataclasses.replace(loaded_run(hand_made()), finalists=none)) == earlier
    one_each = [finalist(3, 0, 1.97), finalist(4, 0, 1.99)]
    assert "one training of each says nothing about noise" in text_of(hand_made(), one_each)


@pytest.mark.slow
def test_finalists_of_an_earlier_version_are_read() -> None:
    path = Path("finalists.csv")
    FINALIST_TABLE.write(FINALISTS, path)
    keys = [row["number"] * SEEDS_AT_MOST + row["finalist_seed"] for row in FINALISTS]
    assert known_scores(FINALIST_TABLE.read(path)) == {
        key: TestPassageScores(**{name: row[name] for name in SCORE_COLUMNS})
        for key, row in zip(keys, FINALISTS, strict=True)
    }
    pd.read_csv(path).drop(columns=list(SCORE_COLUMNS[1:])).to_csv(path, index=False)
    early = FINALIST_TABLE.read(path)
    assert known_scores(early)[keys[0]] == TestPassageScores(
        test_bits_per_char=FINALISTS[0]["test_bits_per_char"]
    )
    text = report_text(dataclasses.replace(loaded_run(hand_made()), finalists=early))
    assert "2.0800" in text and "per letter of the test passage" not in text


@pytest.mark.slow
def test_finalists_without_bits_per_letter_have_the_reason_in_their_row() -> None:
    others = {
        "not for words": {"unit": "word"},
        "not for bytes": {"unit": "byte", "cleaning": "cased"},
        "not for windows": {"regime": "window"},
    }
    for reason, changes in others.items():
        records = hand_made()
        records[3].config = dataclasses.replace(SPACE.base, **changes)
        finalists = [
            row | dict.fromkeys(SCORE_COLUMNS[1:]) if row["number"] == 3 else row
            for row in FINALISTS
        ]
        text = text_of(records, finalists)
        row = f"| 3 |  | 3 | 1.9600 | 1.9800 | 0.0100 | 0.0200 | 2.0800 | 0.0100 | {reason} |  |"
        assert row in text
        none = "networks of words, bytes or windows have none."
        assert text.count(reason) == 1 and text.count(none) == 1
    # A network of characters that was not scored has none of these reasons.
    unscored = [row | dict.fromkeys(SCORE_COLUMNS) for row in FINALISTS]
    assert "have none." not in text_of(hand_made(), unscored)
    # Where there was a time budget it may have been the reason.
    budget = dataclasses.replace(SPACE.budget, time_budget_seconds=60.0)
    limited = text_of(hand_made(), unscored, space=dataclasses.replace(SPACE, budget=budget))
    assert "| not scored |" in limited and "`not scored`: the time budget left no time" in limited
    assert "have none." not in limited


@pytest.mark.slow
def test_letters_are_shown_where_they_compare_cleanings() -> None:
    sentence = "the best finalist of each is scored, if there are several."
    assert sentence not in text_of(hand_made(), FINALISTS)  # all were scored
    records = hand_made()
    records[
        4
    ].config = SPACE.base  # `lower`, as the winner, trial 3; trial 2 is the best `letters`
    finalists = [
        row | dict.fromkeys(SCORE_COLUMNS[1:]) if row["number"] == 4 else row for row in FINALISTS
    ]
    text = text_of(records, finalists)
    assert "| 2.0850 | 0.0050 |  |  |" in text and text.count(sentence) == 1
    records[2].config = SPACE.base
    unscored = [row | dict.fromkeys(SCORE_COLUMNS[1:]) for row in FINALISTS]
    budget = dataclasses.replace(SPACE.budget, time_budget_seconds=60.0)
    for space in (SPACE, dataclasses.replace(SPACE, budget=budget)):
        assert "per letter" not in text_of(records, unscored, space=space)


@pytest.mark.slow
def test_best_of_each_unit_stands_beside_that_of_each_cleaning() -> None:
    word = dataclasses.replace(SPACE.base, unit="word")
    words = [
        TrialRecord(number=7, config=word, status=Status.COMPLETE, epochs=curve(7, [2.5, 1.8])),
        TrialRecord(number=8, config=word, status=Status.PRUNED, epochs=curve(8, [2.9])),
    ]
    finalists = [finalist(7, seed, bits) for seed, bits in enumerate([1.81, 1.83])]
    text = text_of([*hand_made(), *words], [*FINALISTS[:3], *finalists], space=SPACE_WITH_UNITS)
    assert text.index("## The best of each cleaning") < text.index("## The best of each unit")
    assert "| char | 7 | 1 | 3 | 1.9600 | 1.9800 ± 0.0100 |" in text
    assert "| word | 2 | 1 | 7 | 1.8000 | 1.8200 ± 0.0141 |" in text
    of_characters = text_of(hand_made(), space=SPACE_WITH_UNITS)
    assert "| word | 0 | 0 |  |  |  |" in of_characters
    pooled = dataclasses.replace(SPACE_WITH_UNITS.budget, compare_within=())
    earlier = dataclasses.replace(SPACE_WITH_UNITS, budget=pooled)
    assert "The best of each unit" not in text_of([*hand_made(), *words], space=earlier)


def test_best_table_is_ordered_and_shows_each_axis() -> None:
    table = best_table(loaded_run(hand_made()))
    assert table["number"].to_list() == [3, 2, 1, 0, 4]
    assert set(SPACE.distributions) <= set(table.columns)


def test_importance_finds_the_axis_that_matters() -> None:
    records = [
        TrialRecord(
            number=number,
            config=dataclasses.replace(
                SPACE.base,
                hidden_size=64 + 7 * number,
                dropout=(number * 37 % 70) / 100,
                epochs=8 + number * 13 % 50,
            ),
            status=Status.COMPLETE,
            epochs=curve(number, [3.0 - number / 30]),
        )
        for number in range(60)
    ]
    shares = axis_shares(loaded_run(records))
    assert shares["axis"][0] == "hidden_size"
    ordered = shares.sort_values(["share", "axis"], ascending=[False, True])
    assert shares.equals(ordered)
    assert shares["share"].sum() == pytest.approx(1.0)
    assert axis_shares(loaded_run(records[:5])).empty


@pytest.mark.slow
def test_command_redoes_the_report_from_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_study(STUDY)
    folder.write_tables(hand_made())
    assert report.main([str(folder.path)]) == 0
    assert folder.report_file.read_text(encoding="utf-8") == text_of(hand_made())
    capsys.readouterr()
    by_name = [folder.path.name, "--results", str(folder.path.parent)]
    assert report.main(by_name) == 0
    capsys.readouterr()
    assert report.main(["s3://bucket/run"]) == 2
    assert "must be a folder, got s3://bucket/run" in capsys.readouterr().err
    assert report.main([str(tmp_path / "nowhere")]) == 2
    folder.trials_file.unlink()
    assert report.main([str(folder.path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_samples_command_writes_from_the_kept_checkpoints(
    tmp_path: Path, trained_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_study(STUDY)
    for rank in (1, 2):
        copy_model(trained_checkpoint, folder.checkpoint(rank))
    flags = [str(folder.path), "--chars", "60", "--prime", "alice"]
    assert samples.main(flags) == 0
    first = folder.samples_file.read_text(encoding="utf-8")
    assert first.count("## ") == 2 and "    alice" in first
    data = read_json(folder.samples_data_file, Samples, "a run's samples")
    assert data is not None and len(data.passages) == 2
    for passage in data.passages:  # of the same data
        assert f"## 1. {passage.caption}\n\nSampled with {passage.how}.\n\n    alice" in first
        assert passage.text.startswith("alice") and len(passage.text) == len("alice") + 60
    assert samples.main([*flags, "--top", "1"]) == 0
    assert folder.samples_file.read_text(encoding="utf-8").count("## ") == 1
    capsys.readouterr()
    for wrong in (["--top", "0"], ["--chars", "0"], ["--prime", "§"], ["--temperature", "-1"]):
        assert samples.main([str(folder.path), *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 4


def test_tables_of_an_empty_run_have_their_columns() -> None:
    assert isinstance(trials_frame([]), pd.DataFrame)
    assert list(epochs_frame([]).columns)[:2] == ["trial_id", "number"]


def test_finalists_that_are_not_scored_yet_are_said_to_be_so() -> None:
    unscored = [row | dict.fromkeys(SCORE_COLUMNS) for row in FINALISTS if row["number"] == 3]
    line = verdict(loaded_run(hand_made(), unscored))
    assert "1.9800 ± 0.0100 bits, not scored yet on the test passage" in line
