"""Orders and requests: only what a search can carry out is read, whatever a file holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hand_made_trials import record
from model.config import TrialConfig
from model.errors import ConfigError
from search_spaces import load_space
from tune.monitoring.control import check_order, point_of
from tune.records.history import (
    History,
    OrderCarriedOut,
    OrderGiven,
    TrialEnded,
    TrialStarted,
    event_of,
    line_of,
    read_search,
)
from tune.records.order_table import ORDER_TABLE, by_hand, write_orders
from tune.records.orders import Action, Order, OrderRecord
from tune.records.tables import write_table
from tune.records.trial import Status

ID = "0123456789abcdef"
SPACE = load_space("full")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)
FIELDS = ("id", "action", "trial", "config", "workers", "time_budget_seconds")


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.binary()
    | st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from([*Action])).map(
        lambda values: json.dumps(values).encode()
    )
)
def test_request_is_an_order_or_a_value_error(content: bytes) -> None:
    try:
        order = Order.from_request(content, ID)
    except ValueError:
        return
    assert order.id == ID
    assert Order.from_request(json.dumps(order.to_json()).encode(), ID) == order
    given = event_of(line_of(OrderGiven(order=order, search_seconds=0.0)))
    assert isinstance(given, OrderGiven) and given.order == order


def nested(depth: int) -> Any:
    """Return lists in lists."""
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"action": "stop"}, "stop must have trial, got none"),
        ({"action": "stop", "trial": -1}, "must be 0, 1, 2"),
        ({"action": "stop", "trial": 1, "workers": 2}, "got trial, workers"),
        ({"action": "end", "trial": 1}, "end must have no value"),
        ({"action": "workers", "workers": 0}, "workers must be 1 to"),
        ({"action": "budget", "time_budget_seconds": 0}, "above 0 s"),
        ({"action": "explode"}, "explode"),
        ({"action": "end", "shell": "rm"}, "key must be one of"),
        ({"action": "add", "config": {"cell": "\ud800"}}, "must hold whole characters"),
        ({"action": "add", "config": {"\udc00": 1}}, "must hold whole characters"),
        ({"action": "add", "config": {"cell": nested(600)}}, "nested too deeply"),
        ({"action": "add", "config": {"cell": nested(97)}}, "config.cell must be float"),
    ],
)
def test_what_is_no_order_is_one_line(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        Order.from_request(json.dumps(values).encode(), ID)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../x", "0", ID + "0", "0123456789ABCDEF"])
def test_file_of_another_name_is_no_request(name: str) -> None:
    with pytest.raises(ValueError, match="16 hexadecimal digits"):
        Order.from_request(b'{"action": "end"}', name)


def test_configuration_must_lie_in_the_space() -> None:
    assert point_of({"hidden_size": 64}, SPACE)["hidden_size"] == 64
    whole = SPACE.base.to_dict() | {"seed": 5}
    assert point_of(whole, SPACE) == SPACE.point(whole)
    best = whole | {"precision": "bfloat16", "kernel": "fused"}  # as best.json says
    assert point_of(best, SPACE) == SPACE.point(whole)
    for values, rule in (
        ({"hidden": 64}, "TrialConfig field"),
        ({"hidden_size": 10**6}, "must lie in the space"),
        ({"hidden_size": "many"}, "hidden_size|valid fields"),
        ({"learning_rate": 0.5}, "learning_rate is no axis of"),
    ):
        with pytest.raises(ConfigError, match=rule):
            point_of(values, SPACE)


def test_only_a_trial_that_can_change_is_ordered() -> None:
    records = {
        0: record(0, [3.0], Status.RUNNING),
        1: record(1, [3.0], Status.PRUNED),
        2: record(2, [3.0], Status.COMPLETE),
    }
    for action, number in ((Action.STOP, 0), (Action.FINISH, 0), (Action.FINISH, 1)):
        check_order(Order(action=action, trial=number), SPACE, lambda: records)
    for action, number in ((Action.STOP, 1), (Action.FINISH, 2), (Action.STOP, 7)):
        with pytest.raises(ConfigError, match=f"{action} must name a trial"):
            check_order(Order(action=action, trial=number), SPACE, lambda: records)


def test_history_keeps_orders_and_who_was_stopped_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    order = Order(action=Action.STOP, trial=0)
    with History(path) as history:
        config = TrialConfig(epochs=9).to_dict()
        history.add(TrialStarted(number=0, baseline="", config=config, search_seconds=0.0))
        history.add(OrderGiven(order=order, search_seconds=1.0))
        assert history.orders[order.id].is_open
        history.add(OrderCarriedOut(id=order.id, search_seconds=2.0, epochs=1))
        ended = TrialEnded(number=0, status=Status.STOPPED, error="", search_seconds=2.0)
        assert history.add(ended).has_ended
        known = history.orders
    with History(path) as history:
        assert history.orders == known
        assert history.records[0].has_ended
    assert read_search(path).records[0].has_ended


def test_table_and_words(tmp_path: Path) -> None:
    def done(order: Order, **values: Any) -> OrderRecord:
        return OrderRecord(order=order, ordered_seconds=1.0, carried_out_seconds=64.0, **values)

    orders = [
        done(Order(action=Action.STOP, trial=7), trial=7, epochs=3),
        done(Order(action=Action.WORKERS, workers=1)),
        done(Order(action=Action.ADD, config={"hidden_size": 64}), trial=9),
        done(
            Order(action=Action.STOP, trial=8),
            trial=8,
            refused="the trial had already ended as COMPLETE",
        ),
        OrderRecord(order=Order(action=Action.END), ordered_seconds=2.0),
    ]
    path = tmp_path / "orders.csv"
    write_orders([], path)
    assert not path.exists()  # a search that nobody steers has the files that it had
    write_orders(orders, path)
    table = ORDER_TABLE.read(path)
    assert table.equals(ORDER_TABLE.of(order.row() for order in orders))
    write_table(table.assign(order="dance"), tmp_path / "other.csv")
    with pytest.raises(ConfigError, match=r"other\.csv: order must be one of stop, finish, add"):
        ORDER_TABLE.read(tmp_path / "other.csv")
    assert by_hand(table) == [
        "trial 7 stopped after 3 epochs",
        "1 worker from 1m4s",
        "trial 9 added",
    ]


@pytest.mark.parametrize("action", [each for each in Action if each is not Action.END])
def test_order_without_what_it_ordered_is_refused_in_a_line(action: Action) -> None:
    row = {"order": action.value, "ordered_seconds": 1.0, "carried_out_seconds": 2.0}
    with pytest.raises(ConfigError, match=rf"orders\.csv: {action.value} without \w+$"):
        by_hand(ORDER_TABLE.of([row]))
    ended = {**row, "order": Action.END.value}
    assert by_hand(ORDER_TABLE.of([ended])) == ["ended at 2s"]
