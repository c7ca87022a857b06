from dpbench.core.counted import counted


def test_a_number_agrees_with_its_noun() -> None:
    assert [counted(n, "private run") for n in (0, 1, 2)] == ["no private runs", "1 private run", "2 private runs"]
