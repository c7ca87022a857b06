"""The two-stage wavelet method (DP-Wavelet, arXiv 2602.23262): a private coarse stage and a public detail stage.

Hypothesis: the private information of an image is mostly in its coarse wavelet band, and fine detail is generic. The
method spends the whole budget on an autoregressive model of the tokens of the LL band and adds detail by
post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Preset, required
from dpbench.core.refiner import Refiner
from dpbench.core.registries import REFINERS
from dpbench.core.specs import CONDITIONS, Condition, DatasetSpec, Request
from dpbench.core.track import Track, joint_track
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.methods.cores.tokens.token_settings import SCENES, TWO_CORES
from dpbench.methods.cores.warm_up.warm_up_settings import CENTRAL
from dpbench.methods.wavelet.scale_sizes import Scales
from dpbench.methods.wavelet.settings import WaveletConfig
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.methods.wavelet.two_stages import TwoStages
    from dpbench.privacy.private_data import PrivateData

FINETUNE = "finetune"
"""Name of the DP-SGD mechanism."""

ON_HANDWRITING: Mapping[str, Any] = MappingProxyType(
    {"augmentation": "strokes", "refiner.name": "adversarial", "refiner.augmentation": "strokes", "refiner.lr": 2e-3}
)
"""For light strokes on black."""


class Wavelet(ModelMethod[WaveletConfig]):
    """An autoregressive model of the coarse wavelet band, finetuned by DP-SGD, and a public super-resolver.

    A spectral tokenizer trained on public images encodes the bands of a Haar transform as tokens, coarse to fine. A
    transformer over the tokens of the LL band is pretrained on public images and finetuned on the private ones with
    DP-SGD; the class is one prefix token, and the words of a caption are several. A refiner trained on public images
    adds the detail bands, which is post-processing. Controls: coarse=real, tokens=all, refiner.name=bicubic.
    """

    Config = WaveletConfig
    version = "2"
    track = "images"
    conditions: ClassVar[frozenset[Condition]] = CONDITIONS
    paper = "arXiv 2602.23262"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(TWO_CORES),
        "small/shapes": Preset(
            {
                "augmentation": "none",
                "codes": 256,
                "tokenizer_dim": 48,
                "tokenizer_depth": 1,
                "tokenizer_steps": 600,
                "dim": 64,
                "depth": 2,
                "batch": 96,
                "steps": 400,
                "lr": 4e-3,
                "ema": 0.5,
                "guidance": 1.4,
                "temperature": 0.85,
                "refiner.augmentation": "none",
                "refiner.width": 32,
                "refiner.steps": 400,
            },
            tuning="hold-out of shapes train",
        ),
        "small/grained": Preset(
            {
                "tokenizer_steps": 800,
                "tokenizer_batch": 32,
                "public_steps": 800,
                "public_batch": 128,
                "batch": 1024,
                "steps": 120,
                "lr": 2e-3,
                "refiner.steps": 600,
            },
            tuning="hold-out of grained train",
        ),
        "small/mnist": Preset(
            {
                **ON_HANDWRITING,
                "codes": 256,
                "tokenizer_dim": 48,
                "tokenizer_depth": 1,
                "tokenizer_steps": 800,
            },
            tuning="hold-out of mnist train",
        ),
        "small/scenes": Preset(
            {
                **SCENES,
                "refiner.augmentation": "colours",
                "refiner.width": 32,
                "refiner.steps": 400,
            },
            tuning="scenes outside train and test",
        ),
        "gpu": Preset(
            {
                "tokenizer_steps": 5000,
                "tokenizer_batch": 128,
                "dim": 192,
                "public_steps": 10_000,
                "public_batch": 256,
                "batch": 1024,
                "steps": 2500,
                "ema": 0.99,
                "refiner.steps": 4000,
            }
        ),
        "gpu/mnist": Preset(ON_HANDWRITING),
        "paper": Preset(
            {
                "levels": 3,  # SIT-4 at 256 pixels: 4 scales of 256 tokens
                "codes": 8192,
                "detail_codes": 8192,
                "code_dim": 32,
                "perceptual": 0.1,
                "adversarial": 0.1,
                "tokenizer_dim": 512,  # from here on our own sizes, not the authors'
                "tokenizer_depth": 6,
                "tokenizer_heads": 8,
                "tokenizer_steps": 200_000,
                "dim": 768,
                "depth": 12,
                "heads": 12,
                "public_steps": 200_000,
                "public_batch": 256,
                "public_lr": 3e-4,
                "batch": 4096,
                "steps": 1000,
                "lr": 3e-4,
                "ema": 0.99,
                "refiner.name": "residual",
            }
        ),
    }

    model: TwoStages

    def __init__(self, config: WaveletConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.wavelet.two_stages import TwoStages

        self.model = TwoStages(config, spec)

    @classmethod
    def track_of(cls, config: WaveletConfig) -> Track:
        """The track is "foundation" if the refiner or the text encoder brings in weights pretrained elsewhere."""
        chosen = config.refiner
        refiner = REFINERS.get(chosen.name).track_of(chosen.config) if config.tokens == "ll" else cls.track
        return joint_track(cls.track, refiner, config.text_track)

    @classmethod
    def weights_of(cls, config: WaveletConfig) -> Mapping[str, str]:
        """The weights of the text encoder and of the refiner; tokens=all has no refiner."""
        chosen = config.refiner
        refiner = REFINERS.get(chosen.name).weights_of(chosen.config) if config.tokens == "ll" else {}
        return {**config.text_weights, **refiner}

    @classmethod
    def plan(cls, config: WaveletConfig, spec: DatasetSpec, request: Request) -> Plan:
        """DP-SGD finetuning and, if enabled, the central images; an empty plan for coarse=real.

        Raises:
            ConfigError: the levels or patches do not divide the image, the refiner's settings do not fit the levels,
                coarse=real with a dataset that is not a public benchmark, or there are no captions to encode.
        """
        scales = Scales(spec.channels, spec.resolution, config.levels, config.patch)
        if config.tokens == "ll":
            config.refiner.config.check_scale(2**config.levels)
        config.check_captions(spec)
        if config.coarse == "real" and not spec.public_benchmark:
            raise ConfigError("coarse=real puts real images into its output; use it with public benchmarks only")
        if config.coarse == "real":
            return Plan()
        finetune = config.mechanism(FINETUNE, spec)
        return Plan(_central_images(config, scales), finetune) if config.central_noise else Plan(finetune)

    @property
    def refiner(self) -> Refiner[Any] | None:
        """The detail stage; none for tokens=all."""
        return self.model.refiner if self.config.tokens == "ll" else None

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains tokenizer and transformer on public images; see `Method.prepare`.

        Raises:
            ConfigError: there is no public dataset.
        """
        self.model.prepare(required(public), self.version, run)

    def prepare_sampling(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains the refiner on public images; see `Method.prepare_sampling`."""
        self.model.prepare_refiner(required(public), run)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Finetunes the transformer on the private tokens; see `Method.fit`."""
        if self.config.coarse == "real":
            self.model.use_real_tokens(private)
            return
        if self.config.central_noise:
            self.model.warm_up(private, CENTRAL, run)
        self.model.finetune(private, FINETUNE, run)

    def parameters(self) -> tuple[int, int]:
        """(number of weights trained privately, number of weights of tokenizer, transformer and refiner)."""
        return self.model.parameters()


def _central_images(config: WaveletConfig, scales: Scales) -> NoisySum:
    """The release of the per-class sums of LL bands.

    Sensitivity: a record contributes its LL band in [0, 1] to the row of its class, clipped to half of the largest
    norm of such a band.
    """
    largest = math.sqrt(scales.channels) * scales.side(1)
    return NoisySum(name=CENTRAL, clip=largest / 2, noise_multiplier=config.central_noise)
