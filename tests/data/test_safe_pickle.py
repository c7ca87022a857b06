"""Pickles that others made."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

from dpbench.core.errors import DataError
from dpbench.data.safe_pickle import NUMPY, read_pickle


class Trap:
    def __reduce__(self):
        return os.system, ("touch trapped",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_are_read(protocol, tmp_path):
    path = tmp_path / "a.pickle"
    value = {"names": ["a", 3], "data": np.arange(6, dtype=np.uint8).reshape(2, 3)}
    path.write_bytes(pickle.dumps(value, protocol))
    found = read_pickle(path, "make it again", NUMPY)
    assert found["names"] == ["a", 3]
    assert np.array_equal(found["data"], value["data"])


@pytest.mark.parametrize("allowed", [frozenset(), NUMPY])
def test_code_is_never_run(allowed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(["a", Trap()]))
    with pytest.raises(DataError, match=r"a.pickle cannot be read \(it asks for posix.system\); make it again"):
        read_pickle(path, "make it again", allowed)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02]q", b"no pickle"])
def test_a_damaged_pickle_is_named_in_one_line(content, tmp_path):
    path = tmp_path / "a.pickle"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.pickle cannot be read \(.+\); make it again") as caught:
        read_pickle(path, "make it again")
    assert "\n" not in str(caught.value)
