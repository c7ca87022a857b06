"""`dpbench weights`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from calling import call
from PIL import Image
from tiny_upscalers import save_network

from dpbench.models.pretrained.finding import own_folder
from dpbench.models.pretrained.published import WEIGHTS, File, Weights


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def published(empty_caches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server with two small networks, "one" and "two", which are the only published weights, and its folder."""
    site = tmp_path / "site"
    site.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as httpd:
        for name in list(WEIGHTS):
            monkeypatch.delitem(WEIGHTS, name)
        for name in ("one", "two"):
            content = name.encode() * 100
            site.joinpath(f"{name}.pt").write_bytes(content)
            url = f"http://127.0.0.1:{httpd.server_port}/{name}.pt"
            file = File(f"{name}.pt", url, hashlib.sha256(content).hexdigest(), len(content))
            monkeypatch.setitem(WEIGHTS, name, Weights((file,), f"the metric of {name} [all]", "us"))
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        httpd.shutdown()
        thread.join()


def lines(text: str) -> dict[str, list[str]]:
    return {words[0]: words for line in text.splitlines() if (words := line.split())}


def test_list_shows_installed_weights_and_their_uses(published: Path) -> None:
    before = lines(call("weights", "list").stdout)
    assert before["one"] == ["one", "0.3", "kB", "missing", "the", "metric", "of", "one", "[all]"]
    assert call("weights", "get", "one").exit_code == 0
    after = lines(call("weights", "list").stdout)
    assert str(own_folder() / "one.pt")[:40] in after["one"][3]
    assert after["two"][3] == "missing"


def test_several_or_all_weights_can_be_requested(published: Path) -> None:
    done = call("weights", "get", "one", "two")
    assert done.exit_code == 0
    assert "one: downloaded" in done.stderr
    again = call("weights", "get", "all")
    assert "one: already here" in again.stderr
    assert "two: already here" in again.stderr


def test_unknown_name_downloads_nothing(published: Path) -> None:
    done = call("weights", "get", "one", "twoo")
    assert done.exit_code == 2
    assert done.stderr == "error: unknown weights 'twoo'; did you mean two?\n"
    assert not own_folder().exists()


def test_downloaded_super_resolver_refines_images(published: Path, tmp_path: Path, monkeypatch) -> None:
    content = save_network(published / "RealESRGAN_x4plus.pth").read_bytes()
    url = WEIGHTS["one"].files[0].url.replace("one.pt", "RealESRGAN_x4plus.pth")
    file = File("RealESRGAN_x4plus.pth", url, hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setitem(WEIGHTS, "realesrgan-x4plus", Weights((file,), "refiner pretrained", "us"))
    (tmp_path / "coarse").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "coarse/a.png")
    refine = ("refine", "--refiner", "pretrained", "--input", tmp_path / "coarse", "--out", tmp_path / "fine")
    missing = call(*refine)
    assert missing.exit_code == 2
    assert "run `dpbench weights get realesrgan-x4plus`" in missing.stderr
    assert "realesrgan-x4plus: downloaded" in call("weights", "get", "realesrgan-x4plus").stderr
    assert call(*refine).exit_code == 0
    assert Image.open(tmp_path / "fine/a.png").size == (16, 16)


def test_damaged_file_is_reported_as_damaged(published: Path) -> None:
    call("weights", "get", "one")
    (own_folder() / "one.pt").write_bytes(b"damaged")
    assert lines(call("weights", "list").stdout)["one"][3] == "damaged:"


def test_failed_download_gives_a_one_line_error(published: Path) -> None:
    (published / "two.pt").unlink()
    done = call("weights", "get", "two")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: cannot download http://127.0.0.1")
    assert done.stderr.count("\n") == 1
