"""The trials of one command: methods × budgets × seeds, and the reference rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dpbench.benchmark.configure import Configured
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.auto_steps import Planner
from dpbench.benchmark.trials.trial import TrialSpec


def make_trials(methods: Sequence[Configured], session: Session, planner: Planner) -> Iterator[TrialSpec]:
    """All trials, in the order in which they run: `real` is last, so that test opens only after sampling.

    Args:
        methods: configured methods.
        session: gives the request, the datasets and the prompts.
        planner: chooses batch and steps for each ε if a method has `steps=auto`.
    """
    request, inputs = session.request, session.inputs
    spec, fingerprint = inputs.spec, inputs.fingerprint(inputs.train)
    delta, conditions = request.delta_for(spec), session.sampled
    prompts = session.prompts.source if session.prompts else ""
    for method in methods:
        for epsilon, reference in request.budgets():
            if reference == "public" and not method.has_public_part:
                continue  # without private data, the method has no part to run
            m = planner.at(method, epsilon)
            for seed in range(request.seeds):
                yield TrialSpec(
                    method=m.name,
                    version=m.method.version,
                    track=m.method.track_of(m.config),
                    config=m.config,
                    spec=spec,
                    fingerprint=fingerprint,
                    public=inputs.public_source if method.uses_public else None,
                    request=conditions,
                    epsilon=epsilon,
                    delta=delta,
                    seed=seed,
                    reference=reference,
                    preset=m.preset,
                    tuning=m.tuning,
                    variant=m.variant,
                    noise_seed=request.noise_seed,
                    pretrained=named_weights(m.method.weights_of(m.config)),
                    prompts=prompts,
                )
    if "real" in request.references:
        yield TrialSpec.real(spec, fingerprint, conditions, delta)


def named_weights(hashes: Mapping[str, str]) -> str:
    """Weights, as named in rows: "realesrgan-x4plus@4fa0d38905f7"."""
    return ", ".join(f"{name}@{digits}" for name, digits in sorted(hashes.items()))
