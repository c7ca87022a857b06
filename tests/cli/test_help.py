"""`dpbench --help` and `dpbench --version`."""

from __future__ import annotations

import subprocess
import sys

import typer
from calling import call

from dpbench import __version__
from dpbench.cli import app


def test_help_imports_no_heavy_packages() -> None:
    code = "import sys, dpbench.cli\nsys.argv = ['dpbench', 'run', '--help']\n"
    code += "try: dpbench.cli.main()\nexcept SystemExit: pass\n"
    heavy = "print('HEAVY', [m for m in ('torch', 'pandas', 'numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert "--eps" in done.stdout


def test_flags_show_no_value_and_every_option_has_a_help() -> None:
    program = typer.main.get_command(app)
    found = [command for command in program.commands.values() if not hasattr(command, "commands")]
    typers = {"install_completion", "show_completion"}
    options = [option for command in [program, *found] for option in command.params if option.name not in typers]
    assert len(options) > 80
    for option in options:
        assert option.help, option.name
        assert not getattr(option, "is_flag", False) or option.metavar == "", option.name


def test_version() -> None:
    assert call("--version").stdout == f"dpbench {__version__}\n"
