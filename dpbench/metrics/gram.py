"""Style and texture: the distance of mean Gram matrices of VGG activations (Gatys et al., arXiv 1508.06576)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.labels import labels_of
from dpbench.evaluation.stratified import stratified_order

PARTS = 20  # parts of the synthetic set that the interval resamples
SMALLEST = 64  # pixels: VGG halves an image four times before relu5_1


class GramDistance(Metric):
    """Distance of mean Gram matrices of VGG-19 activations.

    A texture distance of two sets, over five layers; 0 for equal sets:

        sum over layers l of  |mean G_l - mean G'_l|² / (5 · 4 N_l²),   G_l = F_l F_lᵀ / M_l

    with the activations F_l of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1: N_l channels of M_l pixels. This is the
    style loss of Gatys et al. between the mean styles of the two sets, with torchvision's VGG-19 instead of their
    rescaled one, and with G divided by M_l, so that the value does not depend on the image size. Images below 64 x 64
    are enlarged to that size. Finite sets differ by chance: compare the value with the `real` row.

    The interval resamples 20 random parts of the synthetic set, stratified by class; the reference set is fixed.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("gram", "low", "distance of the mean Gram matrices of VGG-19's layers relu1_1 to relu5_1"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v2, VGG-19 dcbb9e9d, relu1_1 to relu5_1, from {SMALLEST} pixels"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"gram": value}, at least 0.

        Raises:
            MissingScore: the VGG-19 weights are not available.
        """
        from dpbench.metrics.statistics.styles import mean_styles
        from dpbench.models.pretrained.finding import fingerprint
        from dpbench.models.pretrained.vgg import load_style_layers

        run, synthetic, reference = evaluation.run, evaluation.synthetic, evaluation.reference
        network, whole = load_style_layers().to(run.device), [np.arange(len(reference))]
        key = [reference.fingerprint, len(reference), reference.spec.shape, fingerprint("vgg"), SMALLEST]
        real = evaluation.cached(
            "gram", key, lambda _: {"style": mean_styles(network, reference, whole, SMALLEST, run, "gram: reference")}
        )["style"]
        order = stratified_order(labels_of(synthetic), len(synthetic))
        parts = np.array_split(order, min(PARTS, len(order)))
        styles = mean_styles(network, synthetic, parts, SMALLEST, run, "gram: synthetic")
        gaps = (styles - real).double()  # [parts, d]; the distance is |mean of the rows|²
        products = (gaps @ gaps.T).numpy()
        return {
            "gram": bootstrap.of_means(
                lambda shares: np.einsum("rk,kl,rl->r", shares, products, shares),
                np.eye(len(parts)),
                run.generator,
            )
        }
