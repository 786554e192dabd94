from model.system.seeds import hash_seed


def test_seeds_of_seeds_differ() -> None:
    parts = [(3,), (3, 0), (3, 0, 0), (0, 3), (3, 1), (4, 0), ()]
    assert len({hash_seed(*values) for values in parts}) == len(parts)
    assert hash_seed(3, 1) == hash_seed(3, 1)
    assert all(0 <= hash_seed(*values) < 2**63 for values in parts)
