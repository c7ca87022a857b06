"""Optional packages."""

from __future__ import annotations

import pytest

from dpbench.core.errors import NotInstalled
from dpbench.core.extras import import_extra, lacks_extra


def test_package_that_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(
        NotInstalled, match=r"no_such_package is not installed; `pip install 'dpbench\[hub\]'`"
    ) as error:
        import_extra("no_such_package", "hub")
    assert lacks_extra(str(error.value))


def test_reason_of_a_missing_package_ends_when_it_is_there() -> None:
    assert not lacks_extra("json is not installed; `pip install 'dpbench[hub]'`")
    assert not lacks_extra("the dataset has no classes")
