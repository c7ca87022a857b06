from dpbench.models.token_order import one_by_one, scale_by_scale


def test_one_by_one_predicts_every_token_from_the_previous_one():
    order = one_by_one(4)
    assert order.blocks == (1, 1, 1, 1)
    assert order.parents == (0, 1, 2)
    assert order.length == 4
    assert order.one_by_one


def test_scale_by_scale_predicts_a_grid_from_the_tokens_at_its_places():
    order = scale_by_scale((1, 2, 4))
    assert order.blocks == (1, 4, 16)
    assert order.length == 21
    assert not order.one_by_one
    assert order.parents[:4] == (0, 0, 0, 0)
    assert order.parents[4:] == (1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4)


def test_grids_need_not_be_multiples_of_each_other():
    order = scale_by_scale((2, 3))
    assert order.blocks == (4, 9)
    assert order.parents == (0, 0, 1, 0, 0, 1, 2, 2, 3)


def test_var_at_256_pixels_has_680_tokens():
    assert scale_by_scale((1, 2, 3, 4, 5, 6, 8, 10, 13, 16)).length == 680
