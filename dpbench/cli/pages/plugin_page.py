"""The description of one plugin, and the settings that it would run with, for `dpbench show`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from dpbench.benchmark.reporting.plugin_facts import PluginFacts, Setting
from dpbench.cli.pages.simple_table import simple_table
from dpbench.core.variants import written

PLAIN = ("int", "float", "bool", "str")
"""Types that are evident from a setting's value."""


def plugin_page(plugin: PluginFacts, dataset: str) -> RenderableType:
    """The plugin's docstring, facts, settings, presets and columns, as far as it has them.

    Args:
        dataset: the dataset on which a method's private gradients are counted.
    """
    return Group(*_parts(plugin, dataset))


def _parts(plugin: PluginFacts, dataset: str) -> Iterator[RenderableType]:
    yield Text(f"{plugin.name}: {_unwrapped(plugin.description)}\n")
    yield from (Text(f"{key}: {value}") for key, value in plugin.facts.items() if value)
    yield Text("")
    if plugin.settings is not None:
        title = " ".join(filter(None, ["settings", plugin.settings_for, "(--set key=value)"]))
        yield _settings_table(title, plugin.settings)
    if plugin.presets:
        table = simple_table("presets (--preset name)", "preset", "settings over the defaults", "tuned on", left=3)
        for key, preset in plugin.presets.items():
            changed = " ".join(f"{setting}={written(value)}" for setting, value in preset.settings.items())
            table.add_row(*map(Text, (key, changed or "the defaults", preset.tuning)))
        yield table
    if plugin.private_gradients:
        title = f"private gradients on {dataset}, and their share of the published number (preset paper)"
        table = simple_table(title, "preset", "records × views × steps, expected", left=2)
        for row in plugin.private_gradients.items():
            table.add_row(*map(Text, row))
        yield table
    if plugin.columns:
        table = simple_table("columns", "column", "better", "meaning", left=3)
        for column in plugin.columns:
            table.add_row(*map(Text, (column.name, column.better or "neither", column.help)))
        yield table


def _unwrapped(text: str) -> str:
    """The text with each paragraph of plain sentences on one line, for the terminal to wrap."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(p if "\n " in p or "\n*" in p else " ".join(p.splitlines()) for p in paragraphs)


def _settings_table(title: str, settings: Sequence[Setting]) -> RenderableType:
    """The settings that would run, with the source of each one that differs from the default of the class."""
    table = simple_table(title, "setting", "value", "from", "meaning", left=4)
    for s in settings:
        default = f"default {written(s.default)}" if s.default not in (None, s.value) else ""
        about = "; ".join(filter(None, [s.type if s.type not in PLAIN else "", default]))
        meaning = Text.assemble(s.help, (f" ({about})" if about else "", "dim"))
        table.add_row(Text(s.key), Text(written(s.value), style="bold" if s.origin else ""), Text(s.origin), meaning)
    return table if settings else Text("no settings")
