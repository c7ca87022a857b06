"""Random weights in the files in which the pretrained ones are published."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torchvision

from dpbench.models.pretrained.vgg import StyleLayers


def make_vgg(folder: Path) -> Path:
    """VGG-19 as torchvision publishes it: with a classifier (a small one here), in the format of 2017."""
    torch.manual_seed(0)
    state = StyleLayers().state_dict() | {"classifier.0.weight": torch.zeros(2, 2)}
    torch.save(state, folder / "vgg19-dcbb9e9d.pth", _use_new_zipfile_serialization=False)
    return folder


def make_alexnet(folder: Path) -> Path:
    """AlexNet's features as torchvision publishes them; a small stand-in for the classifier."""
    torch.manual_seed(0)
    features = torchvision.models.alexnet(weights=None).features
    for layer in features:
        if hasattr(layer, "weight"):
            torch.nn.init.kaiming_normal_(layer.weight)
    state = {f"features.{name}": value for name, value in features.state_dict().items()}
    torch.save(state | {"classifier.1.weight": torch.zeros(2, 2)}, folder / "alexnet-owt-7be5be79.pth")
    return folder


def make_dinov2(folder: Path) -> Path:
    """A tiny DINOv2."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=518, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    return folder


def make_inception(folder: Path) -> Path:
    """Inception, in the formats of NVIDIA and of pytorch-fid."""
    from perf._inception import random_inception

    random_inception(folder)
    return folder


def make_clip(folder: Path) -> Path:
    """A tiny CLIP, in the files that OpenAI publishes."""
    from transformers import CLIPConfig, CLIPModel

    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    merges = ["p h", "ph o", "pho t", "phot o</w>", "c a", "ca t</w>"]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    folder.joinpath("vocab.json").write_text(json.dumps(vocabulary))
    folder.joinpath("merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    part = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    last = len(vocabulary) - 1
    config = CLIPConfig(
        text_config={
            **part,
            "vocab_size": last + 1,
            "max_position_embeddings": 12,
            "bos_token_id": last - 1,
            "eos_token_id": last,
        },
        vision_config={**part, "image_size": 42, "patch_size": 14},
        projection_dim=16,
    )
    torch.manual_seed(0)
    model = CLIPModel(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)  # so that embeddings differ much
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder
