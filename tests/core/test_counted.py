from dpbench.core.counted import counted, sized


def test_a_number_agrees_with_its_noun() -> None:
    assert [counted(n, "private run") for n in (0, 1, 2)] == ["no private runs", "1 private run", "2 private runs"]


def test_a_size_has_a_unit_that_shows_it() -> None:
    assert list(map(sized, (0, 512, 5120, 9.6e7, 1.28e9))) == ["0.0 kB", "0.5 kB", "5.1 kB", "96.0 MB", "1.3 GB"]
