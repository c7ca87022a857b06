"""Every registered text encoder keeps the promises of text encoders, and every check can fail."""

from __future__ import annotations

import importlib.util

import pytest
from broken_text_encoders import BROKEN, Letters
from tiny_text_encoders import SAVED

from dpbench.contracts import text_encoders
from dpbench.contracts.promise import ContractError
from dpbench.contracts.text_encoders import CHECKS, TextEncoderCase
from dpbench.core.registries import TEXT_ENCODERS


@pytest.fixture(scope="module", params=TEXT_ENCODERS.names())
def case(request, tmp_path_factory) -> TextEncoderCase:
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    if name == "wordllama" and importlib.util.find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed")
    if name not in SAVED:
        return TextEncoderCase(TEXT_ENCODERS, name, folder)
    SAVED[name](folder)
    return TextEncoderCase(TEXT_ENCODERS, name, folder, {"weights": str(folder)})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_text_encoder_keeps_its_promises(case, check):
    check(case)


@pytest.mark.parametrize(("check", "plugin", "message"), BROKEN)
def test_a_text_encoder_that_breaks_a_promise_is_noticed(check, plugin, message, tmp_path, registries):
    TEXT_ENCODERS.register("broken")(plugin)
    with pytest.raises(ContractError, match=message):
        getattr(text_encoders, check)(TextEncoderCase(TEXT_ENCODERS, "broken", tmp_path))


def test_every_check_can_fail():
    assert {check.__name__ for check in CHECKS} == {check for check, _, _ in BROKEN}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_text_encoder_that_keeps_them_passes(check, tmp_path, registries):
    TEXT_ENCODERS.register("sound")(Letters)
    check(TextEncoderCase(TEXT_ENCODERS, "sound", tmp_path))
