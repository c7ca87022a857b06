"""`dpbench privacy` as a function: which of its three jobs is meant, and that nothing is asked for in vain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from dpbench.benchmark.conversions import Numbers, conversion_table
from dpbench.benchmark.sweep import parse_epsilons
from dpbench.core.errors import DpbenchError

NOBODYS = Numbers()


def privacy_pages(
    method: str,
    eps: str,
    noise: float | None,
    numbers: Numbers,
    *,
    delta: float | None,
    plan: Mapping[str, Any],
    proposal: Mapping[str, Any] | None,
) -> list[RenderableType]:
    """The pages to print.

    Args:
        method: whose plan is meant; "" converts `numbers`.
        eps: budgets, as on the command line.
        noise: noise multiplier, or the scale that a plan's free ones share.
        numbers: a mechanism, where no method is named.
        delta: δ, by default 1 / (n ln n).
        plan: further arguments of `method_plan`, and of `proposals` as well.
        proposal: further arguments of `proposals`; None where none is wanted.

    Raises:
        DpbenchError: the request does not go together.
    """
    epsilons = parse_epsilons(eps) if eps else []
    if not method:
        if proposal is not None:
            raise DpbenchError("--propose needs a method, e.g. dpbench privacy wavelet --eps 1 --propose")
        return [conversion_table(numbers, noise, epsilons, delta)]
    if numbers != NOBODYS:
        raise DpbenchError(
            f"--records, --batch, --rate and --steps are for no method; those of {method} are settings: --set steps=200"
        )
    if proposal is not None:
        return _proposals(method, epsilons, noise, delta, {**plan, **proposal})
    if bool(epsilons) == (noise is not None):
        raise DpbenchError(f"give either --eps, to calibrate the plan of {method}, or --noise, to price it")
    from dpbench.benchmark.method_plan import method_plan
    from dpbench.cli.pages.plan_page import plan_page

    budgets: list[float | None] = [*epsilons] or [None]
    return [plan_page(method_plan(method, epsilon=epsilon, noise=noise, delta=delta, **plan)) for epsilon in budgets]


def _proposals(
    method: str, epsilons: list[float], noise: float | None, delta: float | None, options: Mapping[str, Any]
) -> list[RenderableType]:
    if not epsilons or noise is not None:
        raise DpbenchError("--propose needs --eps, and finds the noise itself")
    from dpbench.benchmark.display import open_display
    from dpbench.benchmark.proposals import proposals

    with open_display() as display:
        return list(proposals(method, epsilons=epsilons, delta=delta, display=display, **options))
