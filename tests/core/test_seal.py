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


def test_seal_closes_test_splits_and_the_sensitive_train_split() -> None:
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


def test_seal_ends_after_an_error_and_can_be_nested() -> None:
    with Seal(tiny()).closed(), pytest.raises(KeyError), Seal(tiny("plain")).closed():
        raise KeyError
    with Seal(tiny()).closed():
        with Seal(tiny("plain")).closed():
            pass
        with pytest.raises(PrivacyError):
            tiny().train()
    tiny().test()


def test_seal_applies_to_threads() -> None:
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
