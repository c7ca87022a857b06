from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("file", ["plugin_mean.py", "plugin_sharpness.py"])
def test_the_plugins_that_the_readme_shows_are_the_tested_ones(file):
    plugin = (ROOT / "tests" / file).read_text().rstrip()
    assert f"```python\n{plugin}\n```" in (ROOT / "README.md").read_text()
    assert len(plugin.splitlines()) < 60
