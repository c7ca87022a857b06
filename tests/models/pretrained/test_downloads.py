"""Complete, interrupted and wrong downloads from a local server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
from pretrained_files import put

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Silent
from dpbench.models.pretrained import downloads
from dpbench.models.pretrained.downloads import fetch
from dpbench.models.pretrained.finding import own_folder
from dpbench.models.pretrained.published import File, Repository

CONTENT = bytes(range(256)) * 12_000  # 3 MB
HALF = len(CONTENT) // 2
REVISION = "0123456789" * 4


@dataclass
class Server:
    """What the server does, and what it was asked.

    Attributes:
        stops: for each of the next answers, the number of bytes of the body after which it hangs up.
        asked: (path, range) of every GET.
    """

    url: str = ""
    content: bytes = CONTENT
    stops: list[int] = field(default_factory=list)
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(b"")

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.asked.append((self.path, wanted))
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self.answer(served.content[start : served.stops.pop(0) if served.stops else None], start)

        def answer(self, body: bytes, start: int = 0) -> None:
            if served.status != 200:
                self.send_error(served.status)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(served.content) - start))
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("ETag", '"a tag"')
            self.end_headers()
            with suppress(ConnectionError):  # the client may disconnect
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{httpd.server_port}"
        yield served
        httpd.shutdown()
        thread.join()


def ask_hub_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "hf_hub_download", partial(huggingface_hub.hf_hub_download, endpoint=url))


@pytest.fixture(params=[None, Repository("someone/some", REVISION)], ids=["web", "hub"])
def file(request, server: Server, empty_caches: None, monkeypatch: pytest.MonkeyPatch) -> File:
    """A file on a plain web server, and one on a hub."""
    ask_hub_at(server.url, monkeypatch)
    url = f"{server.url}/someone/some/resolve/{REVISION}/network.pt"
    return File("some/network.pt", url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), request.param)


def target() -> Path:
    return own_folder() / "some/network.pt"


def assert_no_other_files() -> None:
    assert [path.name for path in target().parent.iterdir()] in ([], [target().name])


def test_download_is_verified_and_not_repeated(server: Server, file: File) -> None:
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT
    assert target().stat().st_mode & 0o777 == 0o644
    assert_no_other_files()
    assert not fetch(file, Silent())
    assert server.asked == [(f"/someone/some/resolve/{REVISION}/network.pt", None)]


def test_file_in_another_cache_is_not_downloaded(server: Server, file: File, tmp_path: Path) -> None:
    put(tmp_path / "DPBENCH_WEIGHTS" / file.name, CONTENT)
    assert not fetch(file, Silent())
    assert server.asked == []


@pytest.mark.parametrize("file", [None], indirect=True)
def test_interrupted_download_leaves_no_file_and_starts_over(server: Server, file: File) -> None:
    server.stops = [HALF]
    with pytest.raises(DpbenchError, match=f"cannot download {file.url}: .*{HALF} bytes read, .*; try again, or put"):
        fetch(file, Silent())
    assert list(target().parent.iterdir()) == []
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT


@pytest.mark.parametrize("file", [Repository("someone/some", REVISION)], indirect=True)
def test_hub_download_resumes_after_a_broken_connection(server: Server, file: File, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", HALF // 10)
    server.stops = [HALF]
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, f"bytes={HALF}-"]


def test_wrong_checksum_discards_only_the_download(server: Server, file: File) -> None:
    put(target(), b"what was there before")
    server.content = b"something else"
    with pytest.raises(DpbenchError, match="does not match the known hash") as error:
        fetch(file, Silent())
    assert "\n" not in str(error.value)
    assert target().read_bytes() == b"what was there before"
    assert_no_other_files()


def test_damaged_file_in_own_cache_is_replaced(server: Server, file: File) -> None:
    put(target(), b"damaged")
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT


def test_damaged_file_in_another_cache_is_kept_and_reported(server: Server, file: File, tmp_path: Path) -> None:
    theirs = put(tmp_path / "DPBENCH_WEIGHTS" / file.name, b"damaged")
    with pytest.raises(DpbenchError, match=f"{theirs} is not the published file"):
        fetch(file, Silent())
    assert theirs.read_bytes() == b"damaged"
    assert server.asked == []


def test_http_error_names_the_address(server: Server, file: File) -> None:
    server.status = 404
    with pytest.raises(DpbenchError, match=f"cannot download {file.url}: .*404") as error:
        fetch(file, Silent())
    assert "\n" not in str(error.value)


def test_refused_connection_message_says_where_to_put_the_file(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    ask_hub_at("http://127.0.0.1:1", monkeypatch)
    nowhere = replace(file, url="http://127.0.0.1:1/network.pt")
    with pytest.raises(DpbenchError, match=r"refused; try again, or put .* DPBENCH_WEIGHTS names, as some/network.pt"):
        fetch(nowhere, Silent())


def test_too_little_disk_space_is_detected_before_the_download(server: Server, file: File, monkeypatch) -> None:
    usage = downloads.shutil.disk_usage(".")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    with pytest.raises(DpbenchError, match="3 MB are needed but 1 MB are free"):
        fetch(file, Silent())
    assert server.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk_error_is_one_line(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = open

    def full(path: object, mode: str = "r", *args: object, **options: object):
        return opening("/dev/full" if "w" in mode else path, mode, *args, **options)

    monkeypatch.setattr("builtins.open", full)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DpbenchError, match=r"cannot download .*: .*No space left on device; try again") as error:
        fetch(file, Silent())
    assert "\n" not in str(error.value)
    assert not target().exists()


def test_unwritable_folder_error_is_one_line(file: File) -> None:
    put(own_folder(), b"not a folder")
    with pytest.raises(DpbenchError, match="cannot download") as error:
        fetch(file, Silent())
    assert "\n" not in str(error.value)


def test_progress_counts_every_megabyte_once(server: Server, file: File) -> None:
    class Counting:
        def __init__(self) -> None:
            self.counts: list[int] = []

        @contextmanager
        def phase(self, name: str, total: int):
            self.title, self.total = name, total
            yield lambda steps=1, note="": self.counts.append(steps)

    progress = Counting()
    fetch(file, progress)
    assert (progress.title, progress.total) == ("network.pt, MB", 4)
    assert sum(progress.counts) == 4
    assert all(count > 0 for count in progress.counts)
