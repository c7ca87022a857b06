from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_method_that_the_readme_shows_is_the_tested_one():
    plugin = (ROOT / "tests/plugin_mean.py").read_text().rstrip()
    assert f"```python\n{plugin}\n```" in (ROOT / "README.md").read_text()
    assert len(plugin.splitlines()) < 60
