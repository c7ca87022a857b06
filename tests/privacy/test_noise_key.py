from __future__ import annotations

import copy
import json
import pickle
import stat

import pytest
import torch
from torch import nn

from dpbench.core.errors import DpbenchError, PrivacyError, RunError
from dpbench.privacy import noise_key
from dpbench.privacy.noise_key import NoiseKey


def stored(path, identity: str = "code") -> NoiseKey:
    key = NoiseKey()
    key.store(path, identity)
    return key


def test_the_next_attempt_goes_on_with_the_key(tmp_path):
    key = stored(tmp_path / "noise.key")
    again = NoiseKey.read(tmp_path / "noise.key", "code")
    assert again is not None
    assert again.secret == key.secret
    assert len(key.secret) == 32
    assert again.seed_of("sum", 1) == key.seed_of("sum", 1) != key.seed_of("sum", 2)


def test_only_its_owner_can_read_it(tmp_path):
    key = stored(tmp_path / "noise.key")
    key.note("rows", 8)
    assert stat.S_IMODE((tmp_path / "noise.key").stat().st_mode) == 0o600


def test_there_is_none_for_other_code_or_before_the_first_attempt(tmp_path):
    assert NoiseKey.read(tmp_path / "noise.key", "code") is None
    stored(tmp_path / "noise.key")
    assert NoiseKey.read(tmp_path / "noise.key", "edited code") is None


KEY = json.dumps({"secret": "00" * 32, "identity": "code", "reproducible": False})


@pytest.mark.parametrize(
    "damage",
    ["", "{}\n", "[]\n", "no json", '{"secret": "00"}\n', f"{KEY}\nno json\n", f'{KEY}\n["rows"]\n["others", 1]\n'],
)
def test_a_damaged_file_is_refused_for_good(tmp_path, damage):
    (tmp_path / "noise.key").write_text(damage)
    with pytest.raises(DpbenchError, match=r"noise\.key"):
        NoiseKey.read(tmp_path / "noise.key", "code")


def test_keys_are_secret_and_differ():
    assert NoiseKey().secret != NoiseKey().secret


def test_what_was_noted_first_stands(tmp_path):
    key = stored(tmp_path / "noise.key")
    assert key.note("rows", 8) == 8
    again = NoiseKey.read(tmp_path / "noise.key", "code")
    assert again.note("rows", 16) == 8
    assert again.note("others", 16) == 16
    _, *notes = (tmp_path / "noise.key").read_text().splitlines()
    assert [json.loads(note) for note in notes] == [["rows", 8], ["others", 16]]


def test_a_note_that_cannot_be_stored_is_not_taken(tmp_path, monkeypatch):
    key = stored(tmp_path / "noise.key")
    with monkeypatch.context() as full:
        full.setattr(noise_key.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(RunError, match=r"cannot write .*noise\.key"):
            key.note("rows", 8)
    assert key.note("rows", 16) == 16


@pytest.mark.parametrize("left", ['["oth', '["others", 16]'])
def test_a_note_that_was_cut_off_is_forgotten(tmp_path, left):
    key = stored(tmp_path / "noise.key")
    key.note("rows", 8)
    with (tmp_path / "noise.key").open("a") as file:
        file.write(left)
    again = NoiseKey.read(tmp_path / "noise.key", "code")
    assert (again.note("rows", 16), again.note("others", 3)) == (8, 3)
    once_more = NoiseKey.read(tmp_path / "noise.key", "code")
    assert (once_more.note("rows", 16), once_more.note("others", 16)) == (8, 3)


def test_a_query_that_starts_from_something_else_is_refused(tmp_path):
    """Two releases with the same noise would give away their difference."""
    stored(tmp_path / "noise.key").starts_from("step 1", torch.arange(6.0))
    again = NoiseKey.read(tmp_path / "noise.key", "code")
    again.starts_from("step 1", torch.arange(6.0) + 1e-5)  # rounding
    again.starts_from("step 2", torch.ones(3))
    changed = torch.arange(6.0)
    changed[3] += 0.1
    for other in (changed, torch.arange(6.0).flip(0), torch.arange(7.0), torch.arange(6.0)[None], torch.zeros(6)):
        with pytest.raises(PrivacyError, match="step 1 starts from other values"):
            again.starts_from("step 1", other)


def test_other_initial_weights_are_other_values(tmp_path):
    key = stored(tmp_path / "noise.key")
    for attempt in range(2):
        torch.manual_seed(attempt)
        weights = nn.utils.parameters_to_vector(nn.Linear(300, 100).parameters())
        if attempt == 0:
            key.starts_from("step 1", weights)
    with pytest.raises(PrivacyError, match="other values"):
        key.starts_from("step 1", weights)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_key_cannot_be_duplicated(duplicate):
    with pytest.raises(PrivacyError, match="same noise"):
        duplicate(NoiseKey())


def test_a_key_does_not_cross_a_fork(monkeypatch):
    key = NoiseKey()
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(PrivacyError, match="fork"):
        key.seed_of("sum", 1)
