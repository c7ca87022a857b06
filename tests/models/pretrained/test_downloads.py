"""Downloads from a server on this machine: whole, resumed, interrupted, wrong."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Silent
from dpbench.models.pretrained import downloads
from dpbench.models.pretrained import published as weights
from dpbench.models.pretrained.downloads import fetch
from dpbench.models.pretrained.published import File, own_folder, places

CONTENT = bytes(range(256)) * 12_000  # 3 MB
HALF = len(CONTENT) // 2


@dataclass
class Server:
    """What the server does, and what it was asked.

    Attributes:
        ranges: whether it can send parts.
        stops_after: bytes of the body after which it hangs up.
    """

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    stops_after: int | None = None
    status: int = 200
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.asked.append(wanted)
            if served.status != 200:
                self.send_error(served.status)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and served.ranges else 0
            if start >= len(served.content):
                self.send_error(416)
                return
            body = served.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # the other side may give up, as on a full disk
                self.wfile.write(body[: served.stops_after])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{httpd.server_port}/network.pt"
        yield served
        httpd.shutdown()
        thread.join()


@pytest.fixture
def file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> File:
    for variable in ("DPBENCH_WEIGHTS", "DPBENCH_CACHE", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr(weights, "CLEAN_FID", tmp_path / "clean-fid")
    monkeypatch.setattr(weights, "places", places)
    return File("some/network.pt", server.url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def target() -> Path:
    return own_folder() / "some/network.pt"


def part() -> Path:
    return own_folder() / "some/network.pt.part"


def test_a_download_is_checked_and_not_repeated(server: Server, file: File) -> None:
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT
    assert not part().exists()
    assert not fetch(file, Silent())
    assert server.asked == [None]


def test_a_file_that_another_cache_has_is_not_downloaded(server: Server, file: File, tmp_path: Path) -> None:
    here = tmp_path / "DPBENCH_WEIGHTS" / file.name
    here.parent.mkdir(parents=True)
    here.write_bytes(CONTENT)
    assert not fetch(file, Silent())
    assert server.asked == []


def test_an_interrupted_download_says_so_and_goes_on_where_it_was(server: Server, file: File) -> None:
    server.stops_after = HALF
    with pytest.raises(DpbenchError, match=f"broke off after {HALF} of {len(CONTENT)} bytes; run the same command"):
        fetch(file, Silent())
    assert not target().exists()
    assert part().stat().st_size == HALF
    server.stops_after = None
    assert fetch(file, Silent())
    assert server.asked == [None, f"bytes={HALF}-"]
    assert target().read_bytes() == CONTENT


def test_a_server_that_sends_no_parts_starts_over(server: Server, file: File) -> None:
    part().parent.mkdir(parents=True)
    part().write_bytes(CONTENT[:HALF])
    server.ranges = False
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_only_checked(server: Server, file: File) -> None:
    part().parent.mkdir(parents=True)
    part().write_bytes(CONTENT)
    assert fetch(file, Silent())
    assert server.asked == []


def test_a_part_that_is_longer_than_the_file_starts_over(server: Server, file: File) -> None:
    part().parent.mkdir(parents=True)
    part().write_bytes(CONTENT + b"more")
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_wrong_checksum_throws_away_what_was_sent_and_nothing_else(server: Server, file: File) -> None:
    target().parent.mkdir(parents=True)
    target().write_bytes(b"what was there before")
    server.content = b"something else"
    with pytest.raises(DpbenchError) as error:
        fetch(file, Silent())
    assert "sent something else than the published file" in str(error.value)
    assert "\n" not in str(error.value)
    assert target().read_bytes() == b"what was there before"
    assert not part().exists()


def test_a_damaged_file_of_our_own_is_replaced(server: Server, file: File) -> None:
    target().parent.mkdir(parents=True)
    target().write_bytes(b"damaged")
    assert fetch(file, Silent())
    assert target().read_bytes() == CONTENT


def test_a_damaged_file_of_somebody_else_is_left_alone_and_named(server: Server, file: File, tmp_path: Path) -> None:
    theirs = tmp_path / "DPBENCH_WEIGHTS" / file.name
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"damaged")
    with pytest.raises(DpbenchError, match=f"{theirs} is not the published file"):
        fetch(file, Silent())
    assert theirs.read_bytes() == b"damaged"
    assert server.asked == []


def test_a_missing_page_names_the_address(server: Server, file: File) -> None:
    server.status = 404
    with pytest.raises(DpbenchError, match=f"cannot download {server.url}: the server says 404 Not Found"):
        fetch(file, Silent())


def test_without_a_server_the_message_says_where_to_put_the_file(file: File) -> None:
    nowhere = replace(file, url="http://127.0.0.1:1/network.pt")
    with pytest.raises(DpbenchError, match=r"refused; try again, or put .* DPBENCH_WEIGHTS names, as some/network.pt"):
        fetch(nowhere, Silent())


def test_a_disk_that_is_too_small_is_noticed_before_the_download(server, file: File, monkeypatch) -> None:
    usage = downloads.shutil.disk_usage(".")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    with pytest.raises(DpbenchError, match="3 MB are needed but 1 MB are free"):
        fetch(file, Silent())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_up_is_one_line(file: File) -> None:
    part().parent.mkdir(parents=True)
    part().symlink_to("/dev/full")
    with pytest.raises(DpbenchError, match=r"cannot write .*network.pt.part: No space left on device"):
        fetch(file, Silent())


def test_progress_counts_megabytes_from_where_it_goes_on(server: Server, file: File) -> None:
    part().parent.mkdir(parents=True)
    part().write_bytes(CONTENT[:HALF])

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
    assert progress.counts[0] == HALF // 10**6
    assert sum(progress.counts) == len(CONTENT) // 10**6
