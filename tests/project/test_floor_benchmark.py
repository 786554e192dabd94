"""benchmarks/floor.py and the prices of recorded curves, on a tiny text."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.floor import RANDOM_SHARE, made_up_text, main
from benchmarks.record_curves import CLEANINGS as RECORDED
from benchmarks.record_curves import CURVES, PRICE
from model.scoring.objective import prepare_corpus
from model.text.cleaning import CLEANINGS


@pytest.mark.slow
def test_table_has_the_floors_that_a_search_has(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.txt").write_text(tiny_text, encoding="utf-8")
    main(["text.txt", "--chars", "2000"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    assert [row[:2] for row in rows] == [
        *(["text.txt", name] for name in CLEANINGS),
        ["2,000 made-up characters", "cased"],
    ]
    floors = prepare_corpus(tiny_text, list(CLEANINGS)).floors
    for _, name, order, validation, test, price, *_ in rows[:-1]:
        floor = floors.of_cleaning[name]
        assert order == str(floors.order)
        assert validation == f"{floor.validation_bits_per_char:.4f}"
        assert test == f"{floor.test_bits_per_char:.4f}"
        assert price == f"{floors.restoration_bits_per_char(name):.4f}"


def test_made_up_text_repeats_another_with_some_random_characters(tiny_text: str) -> None:
    made_up = np.array(list(made_up_text(tiny_text, 5 * len(tiny_text))))
    assert set(made_up) == set(tiny_text)
    differs = (made_up != np.resize(list(tiny_text), len(made_up))).mean()
    assert 0.8 * RANDOM_SHARE < differs <= 1.2 * RANDOM_SHARE


@pytest.mark.parametrize("name", ["alice", "python-docs"])
def test_curves_of_a_cleaning_have_one_price(name: str) -> None:
    table = pd.read_parquet(CURVES / f"{name}.parquet")
    prices = table.groupby("cleaning")[PRICE].unique()
    assert {cleaning: len(each) for cleaning, each in prices.items()} == dict.fromkeys(RECORDED, 1)
    assert prices["cased"][0] == 0 < prices["lower"][0] < prices["letters"][0]
