"""A text that some choices of a space do not fit is searched without these."""

import dataclasses
import io
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from rich.console import Console

from model.errors import ConfigError, CorpusError
from model.text import corpus as corpus_file
from model.text.cleaning import CLEANINGS
from model.text.corpus import Corpus, resolve_corpus
from model.text.words import CLAUSES, NO_WORDS
from model.training.cost import TextSizes, steps_per_epoch
from published_corpora import SENTENCES
from search_spaces import SearchSpace, load_space
from search_spaces.distributions import ends
from search_spaces.long_text import for_text
from search_spaces.narrow import LAYER_NORM_DROPOUT, fixed, with_layer_norm, with_scaled_dropout
from tune import run
from tune.cluster.resources import Node
from tune.job.fit import fitted
from tune.job.prepare import prepare, split_for
from tune.job.resume import _check_space, prepared_study
from tune.monitoring.json_events import JsonConsole
from tune.planning.study import StudyOptions

pytestmark = pytest.mark.usefixtures("measured_machine", "short_floor")

NUMBERS = "".join(f"{n},{n * n % 977},{n % 13}\n" for n in range(2_000))
"""A table: the cleaning letters keeps next to nothing of it."""


def corpus(text: str) -> Corpus:
    return Corpus(name="x", location="x", source="x", text=text)


@pytest.mark.parametrize("name", ["quick", "full", "extended"])
def test_cleaning_that_keeps_too_little_is_left_out(name: str) -> None:
    found = fitted(load_space(name), corpus(NUMBERS))
    assert "letters" not in found.space.values("cleaning")
    assert found.space.values("cleaning") == list(found.prepared.encoded)
    cleanings = [note for note in found.left_out if note.startswith("cleaning ")]
    letters = "cleaning letters is left out: a cleaning must keep at least half"
    assert any(note.startswith(letters) for note in cleanings)
    others = found.left_out[len(cleanings) :]
    assert (
        all(note.endswith("is left out: it has a value that is left out") for note in others)
        and others
    )


@pytest.mark.parametrize("num_chars", [1_000, 1_150, 1_300, 3_000])
@pytest.mark.parametrize("name", ["full", "extended"])
def test_short_text_has_smaller_batches_and_windows(name: str, num_chars: int) -> None:
    words = random.Random(0).choices(["The", "hatter", "said", "tea", "time"], k=2_000)
    found = fitted(load_space(name), corpus(" ".join(words)[:num_chars]))
    for config in found.space.corners(("cleaning", "unit", "batch_size", "sequence_length")):
        needed = max(config.batch_size, config.sequence_length)
        assert needed < len(found.prepared.streams(config).train.symbols)
    assert set(found.space.values("cleaning")) == set(CLEANINGS)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (SENTENCES.lower(), ["lower", "letters"]),
        (re.sub("[^a-z ]", "", SENTENCES.lower()), ["lower", "letters"]),
        (SENTENCES, ["cased", "lower", "letters"]),
    ],
)
def test_cleaning_that_changes_nothing_is_not_searched_beside_another(
    text: str, left: list[str]
) -> None:
    space = load_space("quick")
    fit = fitted(space, corpus(text * 20))
    assert sorted(fit.space.values("cleaning")) == sorted(left) == sorted(fit.prepared.encoded)
    assert fit.space.baselines == space.baselines  # one asks for letters
    told = "cleaning cased is left out: it makes this text the same as lower"
    assert (told in fit.left_out) == ("cased" not in left)
    alone = fitted(fixed(space, "cleaning=cased"), corpus(text * 20))
    assert list(alone.prepared.encoded) == ["cased"] and "the same as" not in str(alone.left_out)


def test_text_that_nothing_fits_is_refused() -> None:
    with pytest.raises(CorpusError, match="at least half of the text"):
        fitted(fixed(load_space("quick"), "cleaning=letters"), corpus(NUMBERS))
    untouched = load_space("quick")
    found = fitted(untouched, corpus("The quick brown fox, and the lazy dog. " * 400))
    assert found.space == untouched and found.left_out == ()


def test_text_of_one_symbol_is_refused_and_a_cleaning_that_leaves_one_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("one.txt").write_text("a" * 3_000, encoding="utf-8")
    assert run.main(["--space", "quick", "--corpus", "one.txt", "--name", "one"]) == 2
    errors = capsys.readouterr().err
    assert "a text must have two different characters, but 'cased' leaves 'a'" in errors
    assert errors.count("\n") == 1 and not Path("results/one").exists()
    found = fitted(load_space("quick"), corpus("aA" * 2_000))
    assert found.space.values("cleaning") == ["cased"]
    assert "'lower' leaves 'a'" in found.left_out[0]


@pytest.mark.slow
def test_plan_tells_what_is_left_out_and_a_resumed_run_may_name_its_space(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("table.csv").write_text(NUMBERS, encoding="utf-8")
    flags = ["--space", "quick", "--fix", "num_layers=1", "--corpus", "table.csv"]
    assert run.main([*flags, "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "cleaning letters is left out" in output and "num_layers  " not in output
    gone = re.findall(r"baseline (.*), scaled down is left out: it contradicts --fix", output)
    assert gone == ["experiment 2", "experiment 3"]  # both have two layers
    assert "baseline           experiment 1" in output
    assert StudyOptions(space="quick", fix=["a=1"]).fix == ["a=1"]


@pytest.mark.parametrize(
    "text",
    [
        "#.++..#\n" * 2_000,
        "".join(
            f"for i{n} in (1, {n}): x[{n % 7}] += {n * n} * (-{n}) % 9;\n" for n in range(500)
        ),
    ],
    ids=["levels of a game", "program code"],
)
def test_text_with_few_letters_is_searched_as_it_is(text: str) -> None:
    for name in ("quick", "full", "extended"):
        found = fitted(load_space(name), corpus(text))
        assert found.space.values("cleaning") == ["lower"]  # which is all of it
        assert found.prepared.encoded["lower"].num_chars == len(text)


def test_resumed_run_of_a_narrowed_space_may_name_it() -> None:
    table = corpus(NUMBERS)
    narrowed = fitted(load_space("quick"), table).space
    _check_space(load_space("quick"), narrowed, table, StudyOptions(space="quick"))
    with pytest.raises(ConfigError, match=r"must be the one in its study\.json"):
        _check_space(load_space("full"), narrowed, table, StudyOptions(space="full"))


@pytest.mark.slow
def test_space_that_has_fewer_configurations_than_trials_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    six = dataclasses.replace(
        load_space("quick"),
        distributions={
            "hidden_size": CategoricalDistribution((16, 24)),
            "dropout": CategoricalDistribution((0.0, 0.2, 0.4)),
        },
        baselines=(),
        starts=(),
    )
    Path("six.json").write_text(json.dumps(six.to_json()), encoding="utf-8")
    flags = ["--space", "six.json", "--corpus", "python-docs", "--dry-run"]
    assert run.main([*flags, "--trials", "50"]) == 0
    said = capsys.readouterr().out
    assert "budget: 6 trials, all configurations of the space, " in said


@pytest.mark.slow
def test_plan_tells_of_words_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    Path("han.txt").write_text("道可道非常道。名可名非常名。" * 3_000, encoding="utf-8")
    flags = ["--space", "extended", "--corpus", "han.txt", "--dry-run"]
    assert run.main([*flags, "--fix", "cleaning=cased"]) == 0
    assert CLAUSES in capsys.readouterr().out
    assert run.main([*flags, "--fix", "cleaning=cased", "--fix", "min_word_count=5"]) == 0
    assert f"warning: {NO_WORDS}" not in capsys.readouterr().out
    words = "".join(f"w{n} " for n in range(4_000))  # each once
    Path("once.txt").write_text(words, encoding="utf-8")
    flags = ["--space", "extended", "--corpus", "once.txt", "--dry-run"]
    assert run.main([*flags, "--fix", "min_word_count=5"]) == 0
    assert capsys.readouterr().out.count(f"warning: {NO_WORDS}") == 1
    assert run.main([*flags, "--fix", "min_word_count=5", "--log-format", "json"]) == 0
    plan, warning = map(json.loads, capsys.readouterr().out.splitlines())
    assert (plan["event"], warning["event"]) == ("plan", "warning")
    assert warning["text"] == f"warning: {NO_WORDS}"
    assert run.main([*flags, "--fix", "min_word_count=5", "--quiet"]) == 0
    assert capsys.readouterr() == ("", f"tune.run: warning: {NO_WORDS}\n")


@pytest.mark.slow
def test_plan_warns_those_who_read_it_of_a_busy_machine(
    tiny_text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    flags = ["--space", "quick", "--corpus", "book.txt", "--dry-run"]
    assert run.main(flags) == 0
    assert "warning" not in capsys.readouterr().out
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (14.53, 0.0, 0.0))
    assert run.main(flags) == 0
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "warning" in each]
    assert line == (
        "warning: this machine was busy in the last minute (load 14.5, 2 cores); if it stays so, "
        "the plan's times will not hold"
    )
    for other in (["--quiet"], ["--log-format", "json"]):
        assert run.main([*flags, *other]) == 0
        told = capsys.readouterr()
        assert "busy" not in told.out + told.err


@pytest.mark.parametrize("named", [True, False])
def test_default_text_is_told_in_events_too(
    named: bool, tiny_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    monkeypatch.setattr(corpus_file, "_default_corpus", lambda _: resolve_corpus("book.txt"))
    events = io.StringIO()
    options = StudyOptions(space="quick", corpus="book.txt" if named else None)
    prepare(options, JsonConsole(events))
    if named:
        assert events.getvalue() == ""
    else:
        assert json.loads(events.getvalue())["text"] == "corpus: file book.txt"


@pytest.mark.slow
def test_resumed_run_of_a_long_text_may_name_its_space() -> None:
    named, long = load_space("full"), corpus("tea for two " * 100_000)
    options = StudyOptions(space="full", resume="long")
    for on_gpu in (False, True):
        stored = for_text(named, len(long.text), on_gpu=on_gpu)
        assert stored != named
        _check_space(named, stored, long, options)
        # A time budget gives a new run's base less dropout.
        _check_space(named, with_scaled_dropout(stored, 0.4), long, options)
        # What no trial has on an axis is all trials'.
        base = dataclasses.replace(stored.base, sequence_length=20)
        with pytest.raises(ConfigError, match="must be the one in its study"):
            _check_space(named, dataclasses.replace(stored, base=base), long, options)


@pytest.mark.slow
def test_time_budget_brings_layer_norm_unless_it_is_fixed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def space_of(**options: Any) -> SearchSpace:
        asked = StudyOptions(**{"space": "full", "corpus": "python-docs", **options})
        return prepared_study(asked, Console(quiet=True)).space

    timed = space_of(time_budget="5m")
    assert timed.base.normalization == "layer"
    assert timed.base.dropout == pytest.approx(LAYER_NORM_DROPOUT * 0.5)
    assert {timed.config(each.params).normalization for each in timed.baselines} == {"none"}
    assert space_of().base == load_space("full").base
    fixed_space = space_of(time_budget="5m", fix=["normalization=none"])
    assert fixed_space.base == load_space("full").base
    own = dataclasses.replace(load_space("full"), most_chars=None)
    Path("own.json").write_text(json.dumps(own.to_json()), encoding="utf-8")
    assert space_of(space="own.json", time_budget="5m").base == own.base
    flags = ["--space", "quick", "--corpus", "python-docs", "--dry-run"]  # it has a time budget
    assert run.main(flags) == 0
    said = capsys.readouterr().out
    assert "  normalization      layer, except in baselines\n" in said


@pytest.mark.slow
def test_plan_says_how_far_a_time_budget_cuts_the_base(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--space", "full", "--corpus", "python-docs", "--dry-run", "--time-budget"]
    assert run.main([*flags, "5s"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"longer ones get fewer epochs \(the base \d+ of 15\)\n", said)
    assert run.main([*flags, "24h"]) == 0
    assert "longer ones get fewer epochs\n" in capsys.readouterr().out


def test_resumed_run_may_have_the_layer_norm_that_its_time_asked_for() -> None:
    named, text = load_space("full"), corpus("tea for two " * 1_000)
    options = StudyOptions(space="full", resume="short")
    stored = with_scaled_dropout(with_layer_norm(named, kept=()), 0.4)
    assert stored.base.normalization == "layer"
    _check_space(named, stored, text, options)
    first, *others = stored.baselines
    other = dataclasses.replace(first, params={**first.params, "hidden_size": 100})
    rare = dataclasses.replace(named.base, min_char_count=30)
    edited = dataclasses.replace(named.base, normalization="layer")
    for changed in (
        dataclasses.replace(stored, baselines=(other, *others)),
        dataclasses.replace(named, base=rare),
        dataclasses.replace(named, base=edited),  # the baselines' too
    ):
        with pytest.raises(ConfigError, match="must be the one in its study"):
            _check_space(named, changed, text, options)


@pytest.mark.slow
def test_what_is_fixed_stays_on_a_long_text() -> None:
    Path("long.txt").write_text("tea for two at the hatter's house. " * 60_000, encoding="utf-8")
    for rule, value in (("normalization=none", "none"), ("normalization=layer", "layer")):
        options = StudyOptions(space="extended", corpus="long.txt", fix=[rule])
        assert prepared_study(options, Console(quiet=True)).space.base.normalization == value
    options = StudyOptions(space="full", corpus="long.txt", fix=["batch_size=8"])
    space = prepared_study(options, Console(quiet=True)).space
    assert (space.base.batch_size, space.base.normalization) == (8, "layer")
    for rule in ("epochs=10..20", "epochs=10,15,20"):
        options = StudyOptions(space="full", corpus="long.txt", fix=[rule])
        space = prepared_study(options, Console(quiet=True)).space
        assert ends(space.distributions["epochs"]) == [10, 20]


def test_a_text_is_split_for_the_reports_that_its_space_asks_for() -> None:
    space, text = load_space("full"), "tea for two " * 100_000
    long = for_text(space, len(text), on_gpu=False)
    by_position = corpus(text)
    by_hand = dataclasses.replace(by_position, lengths=(len(text) - 200_000, 100_000))
    for whole in (by_position, by_hand):  # one report an epoch, as in an earlier run
        assert split_for(space, whole) == whole
    assert split_for(long, by_position).lengths == (len(text) - 100_000, 50_000)
    cut = split_for(long, by_hand)
    assert cut.lengths == (len(text) - 200_000, 50_000) and len(cut.text) == len(text) - 100_000


def test_option_given_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["--space", "quick", "--corpus", "a.txt", "--corpus", "b.txt"],
        ["--space", "quick", "--space=full"],
        ["--space", "quick", "--trials", "3", "--trials=3"],
    ):
        with pytest.raises(SystemExit) as ended:
            run.main(words)
        assert ended.value.code == 2
        line = capsys.readouterr().err
        assert "must be given once" in line and line.count("\n") == 1
    # An option may have several values.
    assert run.main(["--space", "quick", "--corpus", "my", "great book.txt"]) == 2
    assert "unknown corpus 'my'" in capsys.readouterr().err


LONG_WORDS = ("acgtacgtac" * 300 + " ") * 400
"""1.2 million characters, of 400 words: an epoch of words has few steps."""


def test_text_of_very_long_words_has_a_step_for_each_report() -> None:
    space = for_text(load_space("extended"), len(LONG_WORDS), on_gpu=False)
    assert space.base.reports_per_epoch > 1 and "word" in space.values("unit")
    text = split_for(space, corpus(LONG_WORDS))
    found = fitted(space, text)
    assert "reports_per_epoch must be at most the steps of an epoch" in " ".join(found.left_out)
    fields = ("cleaning", "unit", "batch_size", "sequence_length")
    for config in found.space.corners(fields):
        sizes = TextSizes.of(found.prepared.streams(config))
        assert steps_per_epoch(config, sizes) >= config.reports_per_epoch


def test_few_words_cost_the_networks_of_characters_no_size() -> None:
    space = load_space("extended")
    dna = "".join(random.Random(0).choices("ACGT", k=60 * 400))
    text = "".join(f">read {n}\n{dna[60 * n : 60 * n + 60]}" for n in range(60)) + dna
    found = fitted(space, corpus(text))
    assert found.space.values("unit") == ["char"]
    for axis in ("batch_size", "sequence_length"):
        assert found.space.distributions[axis] == space.distributions[axis]
    assert any("words left by the cleaning" in note for note in found.left_out)
    only_words = fitted(fixed(space, "unit=word"), corpus(text)).space  # as asked for
    assert only_words.values("unit") == ["word"]
    assert ends(only_words.distributions["sequence_length"])[1] < 200  # narrower


@pytest.mark.slow
def test_cleaning_whose_loss_the_ngram_does_not_see_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a notation, case can tell what follows: without it, the n-gram predicts worse."""
    generator, letters = random.Random(0), "abcdefghijkl"
    after = [dict(zip(letters, generator.sample(letters, 12), strict=True)) for _ in range(2)]
    note, is_upper, notes = "a", 1, []
    for _ in range(25_000):
        is_upper ^= generator.random() < 0.1
        note = after[is_upper][note if generator.random() < 0.8 else generator.choice(letters)]
        notes.append(note.upper() if is_upper else note)
    Path("tunes.txt").write_text("".join(notes), encoding="utf-8")
    Path("prose.txt").write_text("Tea for Two at the Hatter's house. " * 700, encoding="utf-8")
    flags = ["--space", "quick", "--dry-run", "--fix"]
    for rule, text, told in (
        ("cleaning=cased,lower", "tunes.txt", True),
        ("cleaning=cased", "tunes.txt", False),
        ("cleaning=cased,lower", "prose.txt", False),
    ):
        assert run.main([*flags, rule, "--corpus", text]) == 0
        warning = "warning: the n-gram finds no price for what cleaning lower loses"
        assert (warning in capsys.readouterr().out) == told


def test_reports_that_a_text_has_no_steps_for_are_refused_in_the_plan(
    capsys: pytest.CaptureFixture[str],
) -> None:
    quick, short = load_space("quick"), corpus("the cat sat on the mat. " * 90)
    base = dataclasses.replace(quick.base, epochs=1, batch_size=4, sequence_length=50)
    of_base = dataclasses.replace(base, reports_per_epoch=200)
    fixed_reports = {"hidden_size": quick.distributions["hidden_size"]}
    refused = dataclasses.replace(
        quick,
        base=of_base,
        distributions=fixed_reports,
        conditions={},
        baselines=(),
        starts=(),
    )
    Path("mine.json").write_text(json.dumps(refused.to_json()), encoding="utf-8")
    Path("short.txt").write_text(short.text, encoding="utf-8")
    assert run.main(["--space", "mine.json", "--corpus", "short.txt", "--dry-run"]) == 2
    line = capsys.readouterr().err
    assert "reports_per_epoch must be at most the steps of an epoch" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("num_gpus", "asked", "on_gpu"),
    [(1, None, True), (1, 0.0, False), (1, 0.5, True), (0, None, False)],
)
def test_reports_of_a_long_text_are_those_of_what_trials_train_on(
    num_gpus: int, asked: float | None, on_gpu: bool
) -> None:
    text = "tea for two at the hatter's house. " * 60_000
    Path("long.txt").write_text(text, encoding="utf-8")
    here = [Node(num_cpus=2, num_gpus=num_gpus)]
    options = StudyOptions(space="quick", corpus="long.txt", gpus_per_trial=asked)
    study = prepared_study(options, Console(quiet=True), nodes=lambda: here)
    space = for_text(load_space("quick"), len(study.corpus.text), on_gpu=on_gpu)
    assert study.space.base.reports_per_epoch == space.base.reports_per_epoch
    other = for_text(load_space("quick"), len(study.corpus.text), on_gpu=not on_gpu)
    assert other.base.reports_per_epoch != space.base.reports_per_epoch


def test_nodes_are_not_asked_for_of_a_short_text(tiny_text: str) -> None:
    """A cluster is joined once the text has no mistake."""
    Path("short.txt").write_text(tiny_text, encoding="utf-8")
    options = StudyOptions(space="quick", corpus="short.txt")
    study = prepared_study(options, Console(quiet=True), nodes=lambda: pytest.fail("asked"))
    assert study.space.base.reports_per_epoch == 1
