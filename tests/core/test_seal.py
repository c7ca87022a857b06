from __future__ import annotations

import threading
from pathlib import Path

import fakes
import pytest

from dpbench.core.data import DataOptions
from dpbench.core.errors import PrivacyError
from dpbench.core.seal import Seal


def tiny(argument: str = "") -> fakes.Tiny:
    return fakes.Tiny(argument, DataOptions(Path()))


def test_a_seal_closes_every_test_split_and_the_sensitive_train_split_only_while_it_lasts() -> None:
    public = fakes.TinyPublic("", DataOptions(Path()))
    with Seal(tiny()).closed():
        for dataset in (tiny(), tiny("plain")):
            with pytest.raises(PrivacyError, match="for the evaluator, after sampling"):
                dataset.test()
        with pytest.raises(PrivacyError, match="use `private`"):
            tiny().train()
        assert len(public.train()) == 50
        assert len(tiny("plain").train()) == 200  # another dataset of the same plugin
    assert len(tiny().train()) == 200
    assert len(tiny().test()) == 40


def test_a_seal_is_lifted_after_an_error_and_nests() -> None:
    with Seal(tiny()).closed(), pytest.raises(KeyError), Seal(tiny("plain")).closed():
        raise KeyError
    with Seal(tiny()).closed():
        with Seal(tiny("plain")).closed():
            pass
        with pytest.raises(PrivacyError):
            tiny().train()
    tiny().test()


def test_a_thread_does_not_escape_the_seal() -> None:
    errors: list[Exception] = []

    def peek() -> None:
        try:
            tiny().test()
        except PrivacyError as error:
            errors.append(error)

    with Seal(tiny()).closed():
        thread = threading.Thread(target=peek)
        thread.start()
        thread.join()
    assert len(errors) == 1
