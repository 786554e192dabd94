"""The texts are put into Ray's store without a second copy of all of them."""

import dataclasses
import pickle
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from model.scoring.objective import prepare_corpus
from model.text.corpus import resolve_corpus
from tune.cluster import shared_corpus
from tune.cluster.shared_corpus import SharedCorpus


def test_each_cleaning_goes_as_soon_as_the_store_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte in three cleanings takes up to 6 GB: twice as much did not fit into a laptop."""
    prepared = prepare_corpus(resolve_corpus("python-docs").text[:5_000], ["cased", "lower"])
    first = [weakref.ref(each.train.symbols) for each in prepared.encoded.values()]
    store: list[bytes] = []
    num_alive: list[int] = []

    def put(value: Any) -> int:
        num_alive.append(sum(each() is not None for each in first))
        store.append(pickle.dumps(value))
        return len(store) - 1

    def get(reference: Any) -> Any:
        if isinstance(reference, list):
            return [get(each) for each in reference]
        return pickle.loads(store[reference])

    monkeypatch.setattr(shared_corpus, "ray", SimpleNamespace(put=put, get=get))
    shared = SharedCorpus.of(prepared)
    assert num_alive == [2, 1]
    assert not any(each() is not None for each in first)
    found = pickle.loads(pickle.dumps(shared)).get()
    assert list(found.encoded) == ["cased", "lower"]
    for cleaning, encoded in found.encoded.items():
        assert encoded.cleaning == cleaning
        mine, theirs = encoded.train.symbols, prepared.encoded[cleaning].train.symbols
        assert mine.tolist() == theirs.tolist()
    for field in dataclasses.fields(found):
        if field.name != "encoded":
            assert getattr(found, field.name) == getattr(prepared, field.name)
