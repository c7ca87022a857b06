"""The registries, one per kind of plugin. Nothing listed here is imported until it is asked for."""

from __future__ import annotations

from typing import Any

from dpbench.core.data import Dataset
from dpbench.core.method import Method
from dpbench.core.metric import Extractor, Metric
from dpbench.core.refiner import Refiner
from dpbench.core.registry import Registry

METHODS: Registry[Method[Any]] = Registry(
    "method",
    {
        "wavelet": "dpbench.methods.wavelet:Wavelet",
        "dp-merf": "dpbench.methods.dp_merf:DPMERF",
        "dp-sgd": "dpbench.methods.dp_sgd:DPSGDFinetuning",
        "dpdm": "dpbench.methods.dpdm:DPDM",
        "dp-feta": "dpbench.methods.dp_feta:DPFETA",
    },
)

DATASETS: Registry[Dataset] = Registry(
    "dataset",
    {
        "shapes": "dpbench.data.synthetic.shapes:Shapes",
        "textures": "dpbench.data.synthetic.textures:Textures",
        "mnist": "dpbench.data.sets.torchvision_sets:MNIST",
        "fashion-mnist": "dpbench.data.sets.torchvision_sets:FashionMNIST",
        "cifar10": "dpbench.data.sets.torchvision_sets:CIFAR10",
        "cifar100": "dpbench.data.sets.torchvision_sets:CIFAR100",
        "omniglot": "dpbench.data.sets.omniglot:Omniglot",
        "folder": "dpbench.data.sets.folder:Folder",
    },
)

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "fid": "dpbench.metrics.fid:FrechetInceptionDistance",
        "fid-train": "dpbench.metrics.fid:TrainFID",
        "fd-dinov2": "dpbench.metrics.fid:FrechetDINOv2Distance",
        "kid": "dpbench.metrics.kid:KernelInceptionDistance",
        "cmmd": "dpbench.metrics.cmmd:CLIPMaximumMeanDiscrepancy",
        "inception-score": "dpbench.metrics.inception_score:InceptionScore",
        "prdc": "dpbench.metrics.prdc:PrecisionRecallDensityCoverage",
        "classifier-prdc": "dpbench.metrics.prdc:ClassifierPRDC",
        "fld": "dpbench.metrics.fld:FeatureLikelihoodDivergence",
        "fwd": "dpbench.metrics.fwd:FrechetWaveletDistance",
        "scales": "dpbench.metrics.scales:FrechetPerScale",
        "accuracy": "dpbench.metrics.accuracy:DownstreamAccuracy",
        "accuracy-paper": "dpbench.metrics.accuracy_paper:PublishedAccuracy",
        "label-fidelity": "dpbench.metrics.label_fidelity:LabelFidelity",
        "gram": "dpbench.metrics.gram:GramDistance",
        "lpips": "dpbench.metrics.lpips:LPIPSDiversity",
        "clip-score": "dpbench.metrics.clip_score:CLIPScore",
        "texture": "dpbench.metrics.texture:Texture",
        "spectrum": "dpbench.metrics.spectrum:Spectrum",
        "memorisation": "dpbench.metrics.memorisation:Memorisation",
    },
)

REFINERS: Registry[Refiner[Any]] = Registry(
    "refiner",
    {
        "bicubic": "dpbench.refiners.bicubic:Bicubic",
        "regression": "dpbench.refiners.regression:Regression",
        "residual": "dpbench.refiners.residual:Residual",
    },
)

EXTRACTORS: Registry[Extractor] = Registry(
    "extractor",
    {
        "wavelet-packet": "dpbench.metrics.extractors.packets:WaveletPackets",
        "classifier": "dpbench.metrics.extractors.classifier:RealClassifier",
        "inception": "dpbench.metrics.extractors.inception:Inception",
        "clip": "dpbench.metrics.extractors.clip:CLIP",
        "dinov2": "dpbench.metrics.extractors.dinov2:DINOv2",
        "texture": "dpbench.metrics.extractors.texture_statistics:TextureStatistics",
        "spectrum": "dpbench.metrics.extractors.power_spectrum:PowerSpectrum",
    },
)
