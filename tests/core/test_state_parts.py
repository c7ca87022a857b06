from dpbench.core.state_parts import joined, part_of


def test_parts_are_taken_out_as_they_were_joined():
    parts = {"a": {"weight": 1, "b.weight": 2}, "ab": {"weight": 3}, "none": {}}
    state = joined(parts)
    assert state == {"a.weight": 1, "a.b.weight": 2, "ab.weight": 3}
    assert {part: part_of(state, part) for part in parts} == parts
