"""A plugin is checked promise by promise, whatever becomes of it."""

from __future__ import annotations

import sys

import pytest
from broken_methods import Forgetful, SpendsNothing
from sound_method import Sound

from dpbench.contracts.checking import CHECKS, case_of, checks_of, verdicts
from dpbench.core.registries import METHODS, REGISTRIES


def test_every_kind_has_checks():
    assert set(CHECKS) == {registry.kind for registry in REGISTRIES}
    assert all(CHECKS.values())


def test_a_sound_plugin_breaks_no_promise(tmp_path, registries):
    METHODS.register("sound")(Sound)
    found = list(verdicts(case_of("method", "sound", tmp_path)))
    assert [verdict.broken for verdict in found] == [""] * len(checks_of("method"))
    assert "`fit` makes every planned release, and reads no record outside the mechanisms." in {
        verdict.promise for verdict in found
    }


def test_checks_go_on_after_a_broken_promise(tmp_path, registries):
    METHODS.register("forgetful")(Forgetful)
    found = list(verdicts(case_of("method", "forgetful", tmp_path)))
    assert len(found) == len(checks_of("method"))
    broken = [number for number, verdict in enumerate(found) if "differently after saving" in verdict.broken]
    assert len(broken) == 1
    assert any(not verdict.broken for verdict in found[broken[0] + 1 :])


class Fails(SpendsNothing):
    """It cannot be counted."""

    def parameters(self):
        raise ZeroDivisionError("no\nparameters")


def test_any_error_of_a_plugin_is_a_broken_promise_in_one_line(tmp_path, registries):
    METHODS.register("fails")(Fails)
    broken = [verdict.broken for verdict in verdicts(case_of("method", "fails", tmp_path)) if verdict.broken]
    assert "fails raises ZeroDivisionError: no parameters" in broken
    assert not any("\n" in line for line in broken)


class Exits(SpendsNothing):
    """It ends the program."""

    def parameters(self):
        sys.exit(0)


def test_sys_exit_in_a_plugin_is_a_broken_promise(tmp_path, registries):
    METHODS.register("exits")(Exits)
    broken = [verdict.broken for verdict in verdicts(case_of("method", "exits", tmp_path))]
    assert len(broken) == len(checks_of("method"))
    assert "exits raises SystemExit: 0" in broken


@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [("dataset", "shapes", {}), ("refiner", "bicubic", {}), ("text encoder", "hashed", {})],
)
def test_other_kinds_make_cases(kind, name, settings, tmp_path):
    case = case_of(kind, name, tmp_path, settings, tmp_path)
    checks_of(kind)[0](case)
    assert (case.registry.kind, case.name) == (kind, name)
