"""report.html from hand-made runs: what it says, and that it says it of any run."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from benchmarks.overhead_sampler import made_up_records
from hand_made_run import (
    FINALISTS,
    HOSTILE,
    PREDICTOR_ROWS,
    SAMPLES,
    SPACE,
    SPACE_WITH_UNITS,
    STUDY,
    curve,
    finalist,
    hand_made,
    loaded_run,
)
from model.errors import ConfigError
from search_spaces import load_space
from tune.records.finalist_table import FINALIST_TABLE
from tune.records.json_file import write_json
from tune.records.load import LoadedRun, load_run, read_run
from tune.records.order_table import write_orders
from tune.records.orders import Action, Order, OrderRecord
from tune.records.predictor_table import PREDICTOR_TABLE
from tune.records.run_folder import RunFolder
from tune.records.samples_file import Samples
from tune.records.study_file import STILL_RUNNING
from tune.records.tables import epochs_frame
from tune.records.trial import EpochRecord, Status, TrialRecord
from tune.reporting import live as live_page
from tune.reporting import page as page_file
from tune.reporting.axes import axis_shares
from tune.reporting.confirmation import confirmation
from tune.reporting.contents import SECTIONS, sections_of
from tune.reporting.figures.over_time import busy_share, stretches
from tune.reporting.headline import facts
from tune.reporting.live import LiveFiles
from tune.reporting.markdown_report import report_text
from tune.reporting.page import PLOTLY, page_text, write_page
from tune.reporting.samples_section import samples_section
from tune.reporting.section import markdown, shown

TEMPLATES = Path(live_page.__file__).parent / "templates"


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.headings: list[str] = []
        self._in_script = self._in_heading = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.text += "" if tag == "wbr" else " "
        self._in_script = tag == "script"
        self._in_heading = tag == "h2"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_heading = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data
            self.headings += [data] * self._in_heading

    def words(self) -> str:
        """Return the text with single spaces."""
        return " ".join(self.text.split())

    def figures(self) -> dict[str, Any]:
        """Return the pictures."""
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def page_of(
    records: list[TrialRecord],
    *,
    study: dict[str, Any] | None = None,
    finalists: bool = False,
    samples: Samples | None = None,
) -> Page:
    folder = RunFolder(Path("run").resolve())
    folder.path.mkdir(exist_ok=True)
    folder.write_study(dataclasses.replace(STUDY, **(study or {})))
    folder.write_tables(records)
    if finalists:
        FINALIST_TABLE.write(FINALISTS, folder.finalists_file)
        PREDICTOR_TABLE.write(map(dataclasses.asdict, PREDICTOR_ROWS), folder.predictor_file)
    if samples is not None:
        write_json(samples, folder.samples_data_file)
    write_page(read_run(folder), folder)
    return Page(folder.page_file.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_page_says_who_won_how_surely_and_at_what_cost() -> None:
    page = page_of(hand_made(), finalists=True, samples=SAMPLES)
    words = page.words()
    for sentence in (
        "The best network, an LSTM with 1 layer of 512 units, scores 1.960 bits per character on "
        "the validation passage, on which it was selected. The best baseline, experiment 3, "
        "scores 2.100.",
        "It reads the text in lower case, character by character. Its best score came after "
        "epoch 2 of 15.",
        "It is one of the search's starts.",
        "Retrained 1.9800 ± 0.0100 trial 3, 3 seeds; 2.0800 on the test passage",
        "Against the floor 0.2838 bits better than a Kneser-Ney 5-gram that trains in a second "
        "(2.3638 on the test passage)",
        "Cost 10m5s 7 trials (1 stopped by ASHA), 10 epochs, ",
        "lead exceeds noise the lead over experiment 3 is 0.1300 bits (up to 0.0251 would be "
        "noise between seeds), and 0.1300 on the test passage; the search's winner also has the "
        "lowest mean after retraining",
        "said the hatter.",
    ):
        assert sentence in words, sentence
    assert set(page.figures()) == {
        *("scores", "best-so-far", "learning-curves", "parallel", "timeline"),
        "bits-against-elapsed-seconds",
        *(f"slice-{axis}" for axis in SPACE.distributions),
    }  # eight trials are needed to say which axis mattered


def test_baseline_that_is_best_when_retrained_is_no_confirmation_of_the_search() -> None:
    """Its lead over the next baseline stood there as that of the search."""
    best = [finalist(2, seed, 1.9 + seed / 100, "experiment 3") for seed in range(3)]
    others = [finalist(1, seed, 2.3 + seed / 100, "experiment 2") for seed in range(3)]
    searched = [finalist(3, seed, 1.97 + seed / 100) for seed in range(3)]
    label, how, why = facts(loaded_run(hand_made(), [*best, *others, *searched]))[-1]
    assert (label, how) == ("Confidence", "experiment 3's lead exceeds noise")
    assert why.startswith("the lead over trial 3 is 0.0700 bits (up to ")
    assert ", and 0.0700 on the test passage; " in why
    assert facts(loaded_run(hand_made(), [*best, *others]))[-1][1] == (
        "no trial of the search to compare"
    )


def test_order_that_the_test_passage_does_not_have_is_named() -> None:
    unlike = [
        {**finalist(4, seed, 1.98 + seed / 100), "test_bits_per_char": 2.0} for seed in range(3)
    ]
    run = loaded_run(hand_made(), [*(each for each in FINALISTS if each["number"] != 4), *unlike])
    said = markdown(confirmation(run))
    assert "within noise. On the test passage, 0.0800 fewer: the order is reversed." in said
    assert "more than noise. On the test passage, 0.1300 more." in said


@pytest.mark.slow
def test_every_picture_has_its_place_and_says_what_it_shows() -> None:
    page = page_of(hand_made(), finalists=True)
    places = {
        attributes["id"]: attributes["aria-label"]
        for _, attributes in page.tags
        if attributes.get("class") == "picture"
    }
    assert set(places) == set(page.figures())
    assert all(places.values())
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_pictures_hold_what_the_tables_do() -> None:
    figures = page_of(hand_made(), finalists=True).figures()
    traces = {trace["name"]: trace for trace in figures["slice-hidden_size"]["data"]}
    assert traces["winner"]["customdata"] == [3] and traces["winner"]["y"] == [1.96]
    assert traces["baseline"]["x"] == [256, 256, 256]
    curves = {trace["name"]: trace for trace in figures["learning-curves"]["data"]}
    assert curves["winner"]["y"] == [2.5, 1.96, 1.99, None]
    assert curves["baseline"]["x"] == [1, 2, None, 1, 2, None, 1, 2, None]
    assert curves["stopped by ASHA"]["customdata"] == [4, None]
    anew = {trace["name"]: trace for trace in figures["scores"]["data"]}
    assert anew["mean ± standard deviation"]["x"] == [1.98, 1.985, 2.11]
    assert anew["mean ± standard deviation"]["error_x"]["array"] == [0.01, 0.005, 0.01]
    assert sorted(anew["in the search"]["x"]) == [1.96, 2.1, 2.15, 2.2, 3.4]


@pytest.mark.slow
def test_trial_without_a_conditional_axis_has_a_gap_there() -> None:
    # The base's values lie on no scale of the axes: 0 has no logarithm, "none" is no choice.
    space = dataclasses.replace(
        SPACE,
        distributions={
            **SPACE.distributions,
            "weight_decay": FloatDistribution(0.01, 0.1, log=True),
            "normalization": CategoricalDistribution(("layer",)),
        },
        conditions={"weight_decay": ("num_layers", 3), "normalization": ("num_layers", 3)},
        baselines=(),
    )
    records = hand_made()
    records[4].config = dataclasses.replace(
        records[4].config, num_layers=3, weight_decay=0.1, normalization="layer"
    )
    figures = page_of(records, study={"space": space}).figures()
    ends = len(space.distributions) + 2  # the score, and the gap after each trial's line
    heights = {
        number: trace["y"][start : start + ends]
        for trace in figures["parallel"]["data"]
        for start, number in enumerate(trace["customdata"])
        if start % ends == 0
    }
    assert heights[3][6:8] == [None, None]
    assert heights[4][6:8] == [1.0, 0.0]


@pytest.mark.slow
def test_whatever_a_run_holds_is_shown_and_never_run() -> None:
    space = dataclasses.replace(
        SPACE,
        name=HOSTILE,
        baselines=tuple(
            dataclasses.replace(baseline, name=f"{HOSTILE}{number}")
            for number, baseline in enumerate(SPACE.baselines)
        ),
    )
    records = [
        dataclasses.replace(record, baseline=HOSTILE if record.baseline else "")
        for record in hand_made()
    ]
    records[-1].error = HOSTILE
    passage = dataclasses.replace(
        SAMPLES.passages[0], caption=HOSTILE, how=HOSTILE, text=f"{HOSTILE}\x1b[2J"
    )
    page = page_of(
        records,
        study={
            "space": space,
            "corpus": dataclasses.replace(STUDY.corpus, name=HOSTILE, source=HOSTILE),
            "command": HOSTILE,
            "machine": HOSTILE,
            "versions": {HOSTILE: HOSTILE},
        },
        samples=dataclasses.replace(SAMPLES, passages=(passage,)),
    )
    assert page.text.count("<script>pwned()") >= 8  # as text
    assert "\x1b" not in page.text and page.text.count("\\x1b[2J") == 2
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 4 and "img" not in tags
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    # plotly.js takes tags in a text for markup.
    assert "<script>" not in json.dumps(page.figures()) + page.scripts[1]


@pytest.mark.slow
def test_policy_lets_the_two_scripts_run_and_nothing_be_loaded() -> None:
    page = page_of(hand_made())
    (policy,) = (
        attributes["content"]
        for tag, attributes in page.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    hashes = re.findall(r"'sha256-([^']+)'", policy)
    expected = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in page.scripts[2:]
    ]
    assert hashes == expected


@pytest.mark.slow
def test_runs_with_little_in_them_give_pages_that_read_well() -> None:
    running = {"ended": STILL_RUNNING}
    for records, study, said, unsaid in (
        ([], {}, "The search found nothing: no trial trained an epoch.", "Learning curves"),
        ([], running, "The search has started; no trial has trained an epoch yet.", "Errors"),
        (hand_made()[5:], {}, "trial_00006 FAILED OSError: a | b", "Best so far"),
        (hand_made()[3:4], {}, "No baseline was measured.", "Errors"),
        (hand_made()[:1], {}, "It is a baseline, experiment 1; no other trial is better.", "yet "),
        (hand_made(), running, "The best network so far, ", "The search found nothing"),
    ):
        page = page_of(records, study=study)
        assert said in page.words(), said
        assert unsaid not in page.words(), unsaid
        assert "nan" not in page.words().lower().replace("finance", ""), said
    documented = load_space("documented")  # it has no axes
    page = page_of(hand_made()[:3], study={"space": documented})
    assert not [name for name in page.figures() if name.startswith("slice-")]
    assert "best-so-far" in page.figures()


@pytest.mark.slow
def test_page_says_why_the_winner_is_not_confirmed() -> None:
    reason = "12 trainings would take 3m; --resume with a larger --time-budget trains them"
    words = page_of(hand_made(), study={"unconfirmed": reason}).words()
    assert f"so part of the lead may be luck; reason: {reason}" in words
    assert f"of the winner's lead is luck. Reason: {reason}." in words
    for unknown in ({}, {"unconfirmed": None}):
        assert "reason" not in page_of(hand_made(), study=unknown).words().lower()
    hostile = page_of(hand_made(), study={"unconfirmed": HOSTILE})
    assert "pwned()" in hostile.words() and len(hostile.scripts) == 4
    confirmed = page_of(hand_made(), study={"unconfirmed": reason}, finalists=True)
    assert reason not in confirmed.words()


@pytest.mark.slow
def test_axes_that_only_some_trials_have_are_drawn_for_those() -> None:
    space = load_space("extended")
    records = made_up_records(space, 30)
    figures = page_of(records, study={"space": space}).figures()
    drawn = [
        number
        for trace in figures["slice-min_word_count"]["data"]
        for number in trace["customdata"]
    ]
    words = [record.number for record in records if record.config.unit == "word"]
    assert sorted(drawn) == words and 0 < len(words) < 30


@pytest.mark.slow
def test_page_and_samples_md_show_the_passages_of_samples_json() -> None:
    page = page_of(hand_made(), samples=SAMPLES)
    run = load_run(Path("run"))
    assert run.samples == SAMPLES
    assert "said the hatter.\n\n    ## no heading\nthe end" in page.text
    words = page.words()
    figures = (
        "this passage 90.0 % 21 the book, held out 95.0 % 1.91",
        "At each temperature Samples from the best of them: Temperature 0.5: off with "
        "Temperature 1: his head",
    )
    for said in ("1. 1.9600 bits per character: 1 x 512, lower, epoch 2 Sampled with", *figures):
        assert said in words, said
    text = markdown(samples_section(SAMPLES, run.quality), level=1)
    assert text.startswith(
        "# Samples\n\nFor more samples, run `python -m tune.samples`.\n\n## 1. "
    )
    assert "\n\n    said the hatter.\n    \n        ## no heading\n    the end\n\n| " in text
    assert text.endswith("Temperature 0.5:\n\n    off with\n\nTemperature 1:\n\n    his head")


@pytest.mark.slow
def test_samples_of_earlier_runs_are_shown_as_they_are() -> None:
    folder = RunFolder.create(Path("run").resolve())
    folder.samples_file.write_bytes(b"# Samples\n\n<b>\x1b[2Jsaid | \xff he\n")
    page = page_of(hand_made())
    assert "# Samples\n\n<b>\\x1b[2Jsaid | \ufffd he" in page.text
    assert "Sample text" not in page.words()
    assert "Samples from the best networks" in page.words()
    folder.samples_file.write_bytes(b"")  # cut off
    assert "Samples from the best networks" not in page_of(hand_made()).words()


@pytest.mark.slow
def test_damaged_samples_are_refused_in_one_line() -> None:
    page_of(hand_made(), samples=SAMPLES)
    path = Path("run/samples.json")
    whole = json.loads(path.read_text(encoding="utf-8"))
    for damaged in ("", "[]", "{}", json.dumps({**whole, "passages": [{"text": "x"}]})):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(ConfigError, match="a run's samples must be readable"):
            load_run(Path("run"))


@pytest.mark.slow
def test_sections_of_both_reports_are_one_list() -> None:
    corpus = dataclasses.replace(
        STUDY.corpus,
        name="text8",
        num_train_chars=80_000,
        num_validation_chars=10_000,
        is_published=True,
    )
    study = {"space": SPACE_WITH_UNITS, "corpus": corpus}
    page_of(hand_made(), study=study, finalists=True)
    order = Order(action=Action.WORKERS, workers=1)
    done = OrderRecord(order=order, ordered_seconds=60.0, carried_out_seconds=61.0)
    write_orders([done], Path("run/orders.csv"))
    run = load_run(Path("run"))
    page, text = Page(page_text(run)), report_text(run)
    sections = sections_of(run)
    assert len(sections) == len(SECTIONS)
    headings = [section.title for section in sections if section.body]
    assert re.findall("^## (.*)", text, flags=re.MULTILINE) == headings
    assert [words for words in page.headings if words not in ("Sample text", "All trials")] == [
        section.heading for section in sections
    ]
    for section in sections:  # the page has all that report.md has
        for block in section.body:
            if not isinstance(block, str):
                cells = [value for row in block.itertuples(index=False) for value in row]
                assert all(shown(cell) in page.text for cell in cells), section.title


def timed(number: int, ends: list[float], seconds: float) -> list[EpochRecord]:
    """Return epochs that each took so many seconds and ended then."""
    return [
        dataclasses.replace(epoch, search_seconds=end, elapsed_seconds=seconds * epoch.epoch)
        for epoch, end in zip(curve(number, [2.0] * len(ends)), ends, strict=True)
    ]


def test_trials_lie_in_as_few_rows_as_were_at_work() -> None:
    ends = {0: [10.0, 20.0], 1: [10.0, 40.0, 50.0], 2: [30.0], 3: [60.0]}
    records = [
        TrialRecord(number=number, config=SPACE.base, epochs=timed(number, times, 10.0))
        for number, times in ends.items()
    ]
    ran = stretches(epochs_frame(records))
    found = [(s.number, s.start, s.end, s.row) for s in ran.itertuples()]
    assert found == [
        (1, 0.0, 10.0, 0),  # it was interrupted, and went on later
        (0, 0.0, 20.0, 1),
        (2, 20.0, 30.0, 0),
        (1, 30.0, 50.0, 0),
        (3, 50.0, 60.0, 0),
    ]
    assert busy_share(ran) == pytest.approx(70 / 120)


@pytest.mark.slow
def test_spread_of_an_importance_comes_from_resamples() -> None:
    run = loaded_run(made_up_records(SPACE, 40))
    shares = axis_shares(run, resamples=10)
    assert shares.equals(axis_shares(run, resamples=10))
    assert shares["share"].sum() == pytest.approx(1.0)
    for low, high in zip(shares["low"], shares["high"], strict=True):
        assert 0.0 <= low < high <= 1.0
    assert axis_shares(run)["low"].tolist() == [None] * len(shares)


@pytest.mark.slow
def test_live_page_costs_a_share_and_never_ends_a_search(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = RunFolder.create(Path("live").resolve())
    folder.write_study(dataclasses.replace(STUDY, ended=STILL_RUNNING))
    written: list[bool] = []
    now = [0.0]

    def slow_page(run: LoadedRun, of: RunFolder) -> None:
        assert of == folder and len(run.trials) == 7
        written.append(run.is_running)
        now[0] += 3.0
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(page_file, "write_page", slow_page)
    monkeypatch.setattr(live_page.time, "monotonic", lambda: now[0])
    live = LiveFiles(folder)
    live.write_page(folder.write_tables([TrialRecord(number=0, config=SPACE.base)]))
    assert written == []  # nothing to show
    tables = folder.write_tables(hand_made())
    for at, expected in ((1.0, 1), (100.0, 1), (153.0, 1), (155.0, 2)):
        now[0] = at
        live.write_page(tables)
        assert len(written) == expected, at
    live.save_all(hand_made())  # the search is over
    assert written == [True, True, True]
    assert [record.getMessage() for record in caplog.records] == [
        "report.html could not be written"
    ] * 3


@pytest.mark.slow
def test_a_run_in_progress_has_its_light_page() -> None:
    folder = RunFolder.create(Path("live").resolve())
    folder.write_study(dataclasses.replace(STUDY, ended=STILL_RUNNING))
    records = made_up_records(SPACE, 12)
    records[-1].status = Status.RUNNING
    LiveFiles(folder).save_all(records)
    text = folder.page_file.read_text(encoding="utf-8")
    page = Page(text)
    assert "still running" in page.words()
    assert "Their uncertainty is computed when the search has ended." in page.words()
    assert len(page.figures()["importance"]["data"]) == 1
    write_page(read_run(folder), folder)  # from the files
    assert folder.page_file.read_text(encoding="utf-8") == text


def test_bundle_of_plotly_is_the_one_it_is_called() -> None:
    text = (TEMPLATES / PLOTLY).read_text(encoding="utf-8")
    (version,) = re.findall(r"plotly-basic-([\d.]+)\.min\.js", PLOTLY)
    assert text.startswith(f"/**\n* plotly.js (basic - minified) v{version}\n")
    assert "Licensed under the MIT license" in text[:300]
    assert "</script" not in text and "\r" not in text  # its hash is of what the browser reads
    assert len(text) < 1_300_000


@pytest.mark.slow
def test_page_of_a_thousand_trials_is_small() -> None:
    space = load_space("extended")  # it has the most axes
    page_of(made_up_records(space, 1_000), study={"space": space}, finalists=True)
    assert Path("run/report.html").stat().st_size < 6_000_000


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_parts_of_epochs_read_as_numbers_of_passes() -> None:
    """Two of a long text's trials, whose epochs are whole only now and then."""
    records = []
    for number, values in enumerate(([2.5, 2.2, 2.1, 2.0], [2.6, 2.4])):
        epochs = [
            dataclasses.replace(each, epoch=each.epoch / 4, report=each.report)
            for each in curve(number, values)
        ]
        config = dataclasses.replace(SPACE.base, epochs=1.25, reports_per_epoch=4)
        records.append(
            TrialRecord(number=number, config=config, status=Status.PRUNED, epochs=epochs)
        )
    base = dataclasses.replace(SPACE.base, reports_per_epoch=4)
    page = page_of(records, study={"space": dataclasses.replace(SPACE, base=base)})
    assert "Its best score came after epoch 1 of 1.25" in page.text
    pictures = "".join(page.scripts)
    assert "0.5 of 1.25 epochs trained" in pictures and "1 of 1.25 epochs trained" in pictures
