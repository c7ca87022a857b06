from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_upscalers import save_upscaler

from dpbench.core.errors import NotInstalled
from dpbench.models.pretrained.pipeline_folders import pipeline_folder, pipeline_sha256


def test_hash_depends_on_weights_and_settings_alone(tmp_path: Path) -> None:
    folder = save_upscaler(tmp_path)
    first = pipeline_sha256(str(folder))
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "README.md").write_text("hello", encoding="utf-8")
    assert pipeline_sha256(str(copy)) == first
    for name in ("unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content + b" ")
        assert pipeline_sha256(str(copy)) != first
        (copy / name).write_bytes(content)


def test_pipeline_in_the_cache_of_the_hub_is_found(empty_caches: None, tmp_path: Path) -> None:
    repository = tmp_path / "HF_HUB_CACHE/models--someone--upscaler"
    save_upscaler(tmp_path).rename(tmp_path / "abc")
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc", encoding="utf-8")
    shutil.copytree(tmp_path / "abc", repository / "snapshots/abc")
    assert pipeline_folder("someone/upscaler") == repository / "snapshots/abc"
    with pytest.raises(NotInstalled, match="or run `hf download someone/other`"):
        pipeline_folder("someone/other")
