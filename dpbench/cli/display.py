"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from dpbench.core.printable import printable
from dpbench.core.progress import Advance, Display, Quiet
from dpbench.core.progress_lines import ProgressLines
from dpbench.core.rank import is_rank_zero


class Lines(ProgressLines):
    """Plain lines; see `ProgressLines`."""

    def __init__(self, console: Console):
        super().__init__(lambda line: console.print(printable(line), markup=False, highlight=False, soft_wrap=True))


class Bars:
    """One bar per running phase, with its rate and the time left. A context manager."""

    def __init__(self, console: Console):
        self._bars = _Overviewed(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Prints the line above the bars."""
        self._bars.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def overview(self, line: Callable[[], str]) -> Iterator[None]:
        """Shows the line above the bars."""
        self._bars.line = line
        try:
            yield
        finally:
            self._bars.line = None

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Shows a bar until the phase is over."""
        task = self._bars.add_task(printable(name), total=total, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            self._bars.advance(task, steps)
            if note:
                self._bars.update(task, note=printable(note))

        try:
            yield advance
        finally:
            self._bars.remove_task(task)


class _Overviewed(Progress):
    """Bars below a line of text that is computed anew at each redraw."""

    line: Callable[[], str] | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.line is not None:
            yield Text(f"  {printable(self.line())}", style="bold", no_wrap=True, overflow="ellipsis")
        yield from super().get_renderables()


class _Rate(ProgressColumn):
    """Steps per second, or seconds per step below one step per second."""

    def render(self, task: Task) -> Text:
        speed = task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="progress.data.speed")


@contextmanager
def open_display() -> Iterator[Display]:
    """Bars if standard error is a terminal, plain lines otherwise. Only rank 0 shows anything."""
    if not is_rank_zero():
        yield Quiet()
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console)
        return
    bars: AbstractContextManager[Bars] = Bars(console)
    with bars as display:
        yield display
