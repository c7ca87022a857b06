from dpbench.core.track import joint_track


def test_the_track_of_several_parts_is_the_furthest() -> None:
    assert joint_track("images", "none") == "images"
    assert joint_track("images", "foundation", "none") == "foundation"
