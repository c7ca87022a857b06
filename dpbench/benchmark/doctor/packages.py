"""Versions of Python, dpbench and the packages that it needs, and which optional packages are installed."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement

import dpbench
from dpbench.benchmark.doctor.machine_check import Check
from dpbench.results.provenance import git_commit

DISTRIBUTION = "dpbench"
REQUIRED, OPTIONAL = "packages", "optional packages"

FOR_DEVELOPERS = "dev"
"""The extra that only tests need."""


def required_packages() -> Iterator[Check]:
    """dpbench, Python, and every package that dpbench requires."""
    commit = git_commit()
    yield Check(REQUIRED, "dpbench", "ok", f"{dpbench.__version__}{f', commit {commit}' if commit else ''}")
    yield Check(REQUIRED, "Python", "ok", f"{platform.python_version()} on {platform.platform()}")
    try:
        declared = requirements("")
    except PackageNotFoundError:
        advice = "`pip install -e .` in the repository also installs its requirements"
        yield Check(REQUIRED, "others", "absent", "not known: dpbench runs from a folder and is not installed", advice)
        return
    for requirement in declared:
        yield _required(requirement)


def _required(requirement: Requirement) -> Check:
    advice = f"pip install '{requirement.name}{requirement.specifier}'"
    found = installed_version(requirement.name)
    if found is None:
        return Check(REQUIRED, requirement.name, "problem", "not installed", advice)
    if not requirement.specifier.contains(found, prereleases=True):
        return Check(
            REQUIRED, requirement.name, "problem", f"{found}, but dpbench needs {requirement.specifier}", advice
        )
    return Check(REQUIRED, requirement.name, "ok", found)


def optional_packages() -> Iterator[Check]:
    """Every extra of dpbench, with its packages."""
    for extra in extras():
        versions = {requirement.name: installed_version(requirement.name) for requirement in requirements(extra)}
        missing = [name for name, found in versions.items() if found is None]
        if missing:
            advice = f"pip install 'dpbench[{extra}]'; docs/installing.md says what it is for"
            yield Check(OPTIONAL, extra, "absent", f"not installed: {', '.join(missing)}", advice)
        else:
            yield Check(OPTIONAL, extra, "ok", ", ".join(f"{name} {found}" for name, found in versions.items()))


def extras() -> list[str]:
    """The extras that users may want; none if dpbench is not installed."""
    try:
        declared = metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []
    return [extra for extra in declared if extra != FOR_DEVELOPERS]


def requirements(extra: str) -> list[Requirement]:
    """The packages that dpbench always requires, or those that an extra adds.

    Args:
        extra: the name of the extra; "" for the packages that are always required.

    Raises:
        PackageNotFoundError: dpbench is not installed.
    """
    declared = map(Requirement, requires(DISTRIBUTION) or [])
    if not extra:
        return [r for r in declared if r.marker is None or r.marker.evaluate({"extra": ""})]
    return [
        r for r in declared if r.marker and r.marker.evaluate({"extra": extra}) and not r.marker.evaluate({"extra": ""})
    ]


def installed_version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
