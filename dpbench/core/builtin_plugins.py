"""The tables of built-in plugins, one per kind of plugin.

To add a built-in plugin, add one line to its table: name -> ("module:Class", summary). The summary is the first line of
the class's docstring, so that `dpbench list` can show it without importing the plugin.
"""

from __future__ import annotations

METHODS = {
    "wavelet": (
        "dpbench.methods.wavelet:Wavelet",
        "An autoregressive model of the coarse wavelet band, finetuned by DP-SGD, and a public super-resolver.",
    ),
    "dp-merf": (
        "dpbench.methods.dp_merf:DPMERF",
        "One noisy sum of random Fourier features per class, then a generator trained to match it (DP-MERF).",
    ),
    "dp-ntk": (
        "dpbench.methods.dp_ntk:DPNTK",
        "One noisy sum of neural tangent features per class, then a generator trained to match it (DP-NTK).",
    ),
    "dp-kernel": (
        "dpbench.methods.dp_kernel:DPKernel",
        "Noisy kernel means at generated images, released again as they improve, and a generator to match (DP-Kernel).",
    ),
    "central-wavelet": (
        "dpbench.methods.central_wavelet:CentralWavelet",
        "Noisy class means and covariances of the coarse wavelet band, a Gaussian, and a public super-resolver.",
    ),
    "dp-sgd": (
        "dpbench.methods.dp_sgd:DPSGDFinetuning",
        "A diffusion model pretrained on public images, with all weights finetuned by DP-SGD.",
    ),
    "privimage": (
        "dpbench.methods.privimage:PrivImage",
        "A diffusion model pretrained on public images of the classes that private images resemble (PrivImage).",
    ),
    "dpdm": (
        "dpbench.methods.dpdm:DPDM",
        "A diffusion model trained by DP-SGD from scratch, K noise draws per record (DPDM).",
    ),
    "dp-ar": (
        "dpbench.methods.dp_ar:DPAR",
        "An autoregressive model of the tokens of whole images, pretrained on public ones, finetuned by DP-SGD.",
    ),
    "dp-feta": (
        "dpbench.methods.dp_feta:DPFETA",
        "A diffusion model warmed up on noisy central images, then trained by DP-SGD (DP-FETA).",
    ),
    "dp-feta-pro": (
        "dpbench.methods.dp_feta_pro:DPFETAPro",
        "A diffusion model warmed up on central images and on images of DP-MERF, then trained by DP-SGD (FETA-Pro).",
    ),
    "dp-gan": ("dpbench.methods.dp_gan:DPGAN", "A conditional GAN whose discriminator is trained by DP-SGD (DP-GAN)."),
    "dp-ldm": (
        "dpbench.methods.dp_ldm:DPLDM",
        "A public latent diffusion model whose attention and conditioning are finetuned by DP-SGD (DP-LDM).",
    ),
    "dp-lora": (
        "dpbench.methods.dp_lora:DPLoRA",
        "A public latent diffusion model finetuned by DP-SGD through adapters of its attention (DP-LoRA).",
    ),
    "dp-rdm": (
        "dpbench.methods.dp_rdm:DPRDM",
        "A public diffusion model conditioned on noisy means of the nearest private images (DP-RDM).",
    ),
    "dpagg-ti": (
        "dpbench.methods.dpagg_ti:DPAggTI",
        "A public generator prompted with the noisy sum of embeddings inverted from private images (DPAgg-TI).",
    ),
    "gs-wgan": (
        "dpbench.methods.gs_wgan:GSWGAN",
        "A GAN whose discriminators are never released; only the generator's gradient is noised (GS-WGAN).",
    ),
    "pe": (
        "dpbench.methods.pe:PE",
        "Images of a public generator, selected and varied by noisy votes of the private ones (Private Evolution).",
    ),
}

BENCHMARK_DATASETS = {
    "shapes": ("dpbench.data.synthetic.shapes:Shapes", "Ten shapes, 32×32 colour, generated (the default)"),
    "pictograms": (
        "dpbench.data.synthetic.pictograms:Pictograms",
        "A few pictograms of one style, 32×32 colour, 150 + 1,000, generated",
    ),
    "grained": (
        "dpbench.data.synthetic.grained:Grained",
        "Ten shapes, 32×32 colour, generated; grained:T shows the class of a share T of the records in fine grain",
    ),
    "mnist": (
        "dpbench.data.sets.torchvision_sets:MNIST",
        "Handwritten digits, 28×28 grey padded to 32×32, 60,000 + 10,000 (LeCun et al. 1998)",
    ),
    "fashion-mnist": (
        "dpbench.data.sets.torchvision_sets:FashionMNIST",
        "Clothes, 28×28 grey padded to 32×32, 60,000 + 10,000 (Xiao et al. 2017)",
    ),
    "cifar10": (
        "dpbench.data.sets.torchvision_sets:CIFAR10",
        "Photographs of ten kinds of things, 32×32 colour, 50,000 + 10,000 (Krizhevsky 2009)",
    ),
    "cifar100": (
        "dpbench.data.sets.torchvision_sets:CIFAR100",
        "Photographs of a hundred kinds of things, 32×32 colour, 50,000 + 10,000 (Krizhevsky 2009)",
    ),
    "omniglot": (
        "dpbench.data.sets.omniglot:Omniglot",
        "Handwritten characters of many alphabets, grey, white on black as MNIST; classes are characters",
    ),
    "emnist": (
        "dpbench.data.sets.emnist:EMNIST",
        "Handwritten letters, 28×28 grey padded to 32×32, 124,800 + 20,800; emnist:balanced also has digits",
    ),
    "coco": (
        "dpbench.data.sets.coco:COCO",
        "Photographs with five or more captions each, 64×64 colour, 118,287 + 5,000; coco:2014 has 82,783 + 40,504",
    ),
    "mm-celeba-hq": (
        "dpbench.data.sets.mm_celeba_hq:MMCelebAHQ",
        "Faces with ten captions each, 64×64 colour, 24,000 + 6,000; for non-commercial research (Xia et al. 2021)",
    ),
    "celeba": (
        "dpbench.data.sets.celeba:CelebA",
        "Faces, 32×32 colour, 162,770 + 19,962, by an attribute (celeba:Smiling, default Male) or celeba:captions",
    ),
    "celeba-hq": (
        "dpbench.data.sets.celeba_hq:CelebAHQ",
        "Faces, 64×64 colour, 27,013 + 2,987, by an attribute (celeba-hq:Smiling, default Male) or captions",
    ),
    "eurosat": (
        "dpbench.data.sets.eurosat:EuroSAT",
        "Satellite images of ten kinds of land, 64×64 colour, 24,269 + 2,731 (Helber et al. 2019)",
    ),
    "camelyon17": (
        "dpbench.data.sets.camelyon17:Camelyon17",
        "Patches of lymph nodes with and without tumor, 32×32 colour, 302,436 + 85,054 (WILDS)",
    ),
    "imagenet32": (
        "dpbench.data.sets.downsampled_imagenet:ImageNet32",
        "ImageNet downsampled to 32×32 colour, 1,281,167 + 50,000, from the published batches (Chrabaszcz et al. 2017)",
    ),
    "imagenet64": (
        "dpbench.data.sets.downsampled_imagenet:ImageNet64",
        "ImageNet downsampled to 64×64 colour, 1,281,167 + 50,000, from the published batches (Chrabaszcz et al. 2017)",
    ),
    "imagenet": (
        "dpbench.data.sets.imagenet:ImageNet",
        "Photographs of a thousand kinds of things, 64×64 colour, 1,281,167 + 50,000, from image files (ILSVRC 2012)",
    ),
    "places365": (
        "dpbench.data.sets.places365:Places365",
        "Photographs of 365 kinds of places, 64×64 colour, 1,803,460 + 36,500 (Zhou et al. 2018)",
    ),
    "holdout": (
        "dpbench.data.sets.holdout:Holdout",
        "The train split of another dataset alone, with a hold-out of it as test: `holdout:mnist`, for tuning",
    ),
    "scenes": (
        "dpbench.data.synthetic.scenes:Scenes",
        "Scenes of one to three objects with captions, 64×64 colour, generated",
    ),
    "folder": (
        "dpbench.data.sets.folder:Folder",
        "Your own images: `folder:PATH`, a folder or zip, one sub-folder per class or none",
    ),
}

PUBLIC_DATASETS = {
    "still-lifes": (
        "dpbench.data.synthetic.scenes:StillLifes",
        "Public source: scenes of other objects in other colours, 64×64 colour, generated, told in the words of scenes",
    ),
    "figures": (
        "dpbench.data.synthetic.figures:Figures",
        "Public source: irregular figures, 32×32 colour, generated, in the style of shapes",
    ),
    "drawings": (
        "dpbench.data.synthetic.drawings:Drawings",
        "Public source: figures drawn in 300 styles, 32×32 colour, generated; for pictograms",
    ),
    "textures": (
        "dpbench.data.synthetic.textures:Textures",
        "Public source: overlapping textured leaves, 32×32 colour, generated; textures:G gives a share G fine grain",
    ),
}
"""Sources for public pretraining that are not benchmarks themselves; their classes set `public_only`."""

METRICS = {
    "fid": ("dpbench.metrics.fid:FrechetInceptionDistance", "Fréchet Inception Distance to the test split (FID)."),
    "fid-train": ("dpbench.metrics.fid:TrainFID", "Fréchet Inception Distance to the train split."),
    "fd-dinov2": ("dpbench.metrics.fid:FrechetDINOv2Distance", "Fréchet distance of DINOv2 features."),
    "kid": ("dpbench.metrics.kid:KernelInceptionDistance", "Kernel Inception Distance to the test split (KID)."),
    "cmmd": ("dpbench.metrics.cmmd:CLIPMaximumMeanDiscrepancy", "Maximum mean discrepancy of CLIP embeddings (CMMD)."),
    "inception-score": ("dpbench.metrics.inception_score:InceptionScore", "Inception Score (IS)."),
    "prdc": ("dpbench.metrics.prdc:PrecisionRecallDensityCoverage", "Precision, recall, density and coverage."),
    "classifier-prdc": ("dpbench.metrics.prdc:ClassifierPRDC", "FD and PRDC in features of a real-data classifier."),
    "fld": ("dpbench.metrics.fld:FeatureLikelihoodDivergence", "Feature Likelihood Divergence in DINOv2 features."),
    "fwd": ("dpbench.metrics.fwd:FrechetWaveletDistance", "Fréchet Wavelet Distance: mean over Haar packets."),
    "scales": ("dpbench.metrics.scales:FrechetPerScale", "Fréchet distance of each scale of the Haar transform."),
    "accuracy": ("dpbench.metrics.accuracy:DownstreamAccuracy", "Train on synthetic, test on real: small classifiers."),
    "accuracy-paper": ("dpbench.metrics.accuracy_paper:PublishedAccuracy", "DPImageBench's classifier accuracy; slow."),
    "label-fidelity": ("dpbench.metrics.label_fidelity:LabelFidelity", "Train on real, test on synthetic images."),
    "gram": ("dpbench.metrics.gram:GramDistance", "Distance of mean Gram matrices of VGG-19 activations."),
    "lpips": ("dpbench.metrics.lpips:LPIPSDiversity", "Mean LPIPS distance within a class: diversity."),
    "clip-score": ("dpbench.metrics.clip_score:CLIPScore", "CLIP similarity of images and their prompts."),
    "caption-fidelity": (
        "dpbench.metrics.caption_fidelity:CaptionFidelity",
        "Share of a prompt's objects, colours and relations that a judge of real scenes finds in the image.",
    ),
    "style": (
        "dpbench.metrics.style:Style",
        "Difference of the distributions of colour, contrast, structure and seams.",
    ),
    "texture": ("dpbench.metrics.texture:Texture", "Distance of mean wavelet texture statistics."),
    "spectrum": ("dpbench.metrics.spectrum:Spectrum", "Difference of mean log power spectra."),
    "memorisation": ("dpbench.metrics.memorisation:Memorisation", "Copies of train images, and a membership attack."),
    "dpimagebench-fid": (
        "dpbench.metrics.dpimagebench_fidelity:DPImageBenchFID",
        "DPImageBench's FID: to the train split.",
    ),
    "dpimagebench-inception-score": (
        "dpbench.metrics.dpimagebench_fidelity:DPImageBenchInceptionScore",
        "DPImageBench's Inception Score: one split.",
    ),
    "dpimagebench-precision-recall": (
        "dpbench.metrics.dpimagebench_fidelity:DPImageBenchPrecisionRecall",
        "DPImageBench's precision and recall: open balls.",
    ),
    "dpimagebench-fld": (
        "dpbench.metrics.dpimagebench_fidelity:DPImageBenchFLD",
        "DPImageBench's FLD: Inception features, likelihood of train.",
    ),
    "dpimagebench-image-reward": (
        "dpbench.metrics.image_reward:DPImageBenchImageReward",
        "DPImageBench's ImageReward of class prompts; slow.",
    ),
}

REFINERS = {
    "bicubic": (
        "dpbench.refiners.bicubic:Bicubic",
        "Bicubic interpolation of the coarse image: a control that adds no detail.",
    ),
    "regression": (
        "dpbench.refiners.regression:Regression",
        "Convolutional super-resolution with an L1 loss, trained on public images: fast, deterministic, blurry.",
    ),
    "adversarial": (
        "dpbench.refiners.adversarial:Adversarial",
        "Convolutional super-resolution with an L1 loss and a critic, trained on public images: fast, sharp.",
    ),
    "residual": (
        "dpbench.refiners.residual:Residual",
        "Diffusion of the residual to bicubic interpolation, trained on public images: sharp, random, few steps.",
    ),
    "pretrained": (
        "dpbench.refiners.pretrained:Pretrained",
        "A public super-resolution network with published weights, such as Real-ESRGAN.",
    ),
    "diffusers": (
        "dpbench.refiners.diffusers:Diffusers",
        "A public diffusion upscaler from a pipeline of diffusers, such as Stable Diffusion's ×4 upscaler.",
    ),
    "sr-diffusion": (
        "dpbench.refiners.sr_diffusion:SrDiffusion",
        "Diffusion of the image given a super-resolver's estimate, trained on public images: sharp, random.",
    ),
    "guided-prior": (
        "dpbench.refiners.guided_prior:GuidedPrior",
        "An unconditional public diffusion model guided by the coarse image: one prior for every corruption and scale.",
    ),
    "one-step": (
        "dpbench.refiners.one_step:OneStep",
        "One step from noise to the image with edges as a second task, trained on public images: fast, blurry.",
    ),
    "memory": (
        "dpbench.refiners.memory:Memory",
        "A restorer modulated by the detail of the most similar public patch, trained on public images.",
    ),
    "plug-and-play": (
        "dpbench.refiners.plug_and_play:PlugAndPlay",
        "Optimisation with two priors, similar patches of low rank and a denoiser trained on public images; slow.",
    ),
    "deep-prior": (
        "dpbench.refiners.deep_prior:DeepPrior",
        "Optimisation without training data: non-local means and an untrained network per image; very slow.",
    ),
    "burst": (
        "dpbench.refiners.burst:Burst",
        "Several coarse draws, fused around the first one by gates and upsampled by kernels that depend on the image.",
    ),
}

EXTRACTORS = {
    "wavelet-packet": ("dpbench.metrics.extractors.packets:WaveletPackets", "Haar wavelet packets in natural order."),
    "classifier": ("dpbench.metrics.extractors.classifier:RealClassifier", "Features of a real-data classifier."),
    "inception": ("dpbench.metrics.extractors.inception:Inception", "Pool features of InceptionV3 of 2015-12-05."),
    "pytorch-fid": (
        "dpbench.metrics.extractors.pytorch_fid:PytorchFID",
        "Pool features of InceptionV3 in pytorch-fid's port.",
    ),
    "clip": ("dpbench.metrics.extractors.clip:CLIP", "Image embeddings of CLIP ViT-L/14 at 336 pixels."),
    "dinov2": ("dpbench.metrics.extractors.dinov2:DINOv2", "Class token of DINOv2 ViT-L/14 at 224 pixels."),
    "fourier-magnitude": (
        "dpbench.metrics.extractors.fourier_magnitudes:FourierMagnitudes",
        "Magnitudes of low spatial frequencies.",
    ),
    "style": (
        "dpbench.metrics.extractors.style_statistics:StyleStatistics",
        "Statistics of colour, contrast, structure and seams.",
    ),
    "texture": ("dpbench.metrics.extractors.texture_statistics:TextureStatistics", "Statistics of wavelet sub-bands."),
    "spectrum": ("dpbench.metrics.extractors.power_spectrum:PowerSpectrum", "Radially averaged power spectrum."),
}

TEXT_ENCODERS = {
    "hashed": (
        "dpbench.text_encoders.hashed:Hashed",
        "Words hashed to fixed random vectors: no weights and no knowledge of language, a control.",
    ),
    "wordllama": (
        "dpbench.text_encoders.wordllama:WordLlama",
        "Pretrained token embeddings that travel inside the PyPI package wordllama: 32,000 tokens, 256 numbers each.",
    ),
    "clip": (
        "dpbench.text_encoders.clip_text:CLIPText",
        "The text encoder of a CLIP model in the format of transformers, trained on pairs of images and texts.",
    ),
    "t5": (
        "dpbench.text_encoders.t5_text:T5Text",
        "The encoder of a T5 model in the format of transformers, trained on text alone.",
    ),
}

GENERATORS = {
    "glyphs": (
        "dpbench.generators.glyphs:Glyphs",
        "Characters of 12 fonts, white on black, rotated, slanted, moved and of any stroke width; no trained model.",
    ),
    "polygons": (
        "dpbench.generators.polygons:Polygons",
        "Star-shaped figures of ten corners on a ground that shades from one colour to another; no trained model.",
    ),
    "nearest": (
        "dpbench.generators.nearest_images:NearestImages",
        "Public images: random ones, and as variations others that are similar in pixels; no trained model.",
    ),
    "diffusion": (
        "dpbench.generators.public_diffusion:DiffusionGenerator",
        "A diffusion model trained on the public source; a variation adds noise to an image and removes it again.",
    ),
    "img2img": (
        "dpbench.generators.img2img:Img2Img",
        "A public text-to-image pipeline of diffusers, such as Stable Diffusion; it varies images by image-to-image.",
    ),
    "captions": (
        "dpbench.generators.caption_diffusion:CaptionDiffusion",
        "Captions rendered by a diffusion model trained on the captioned public source; a variation edits the caption.",
    ),
    "text-to-image": (
        "dpbench.generators.caption_pipeline:CaptionPipeline",
        "Captions rendered by a public text-to-image pipeline of diffusers; a variation edits the caption.",
    ),
    "composite": (
        "dpbench.generators.composite:Composite",
        "Two public generators: the first one starts, and the second one varies its images when degrees are small.",
    ),
}
