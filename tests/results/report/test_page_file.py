"""report.html: whole, without network, and safe whatever the texts are."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from dpbench.results.report import page_file
from dpbench.results.report.page_file import HERE, SCRIPTS, embedded, write_page

EVIL = "</script><img src=x onerror=alert(1)><!-- $style \u2028 &amp;"


def test_texts_cannot_leave_the_data() -> None:
    text = embedded({"name": EVIL, "n": [math.nan, math.inf, -math.inf, 1.5]})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": EVIL, "n": [None, "inf", "-inf", 1.5]}


def test_the_page_is_one_file_that_asks_nobody(tmp_path: Path) -> None:
    write_page(tmp_path / "r.html", {"made": EVIL, "version": "1", "columns": {}, "headline": [], "tables": []})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\s\"'`]+", page)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page.split("<script")[0])
    assert page.count("</script>") == 2
    (data,) = re.findall(r'<script id="data"[^>]*>(.*?)</script>', page)
    assert json.loads(data)["made"] == EVIL
    assert "$" + "data" not in page


def test_every_script_is_in_the_page() -> None:
    assert {path.stem for path in HERE.glob("*.js")} == {*SCRIPTS}
    assert len(SCRIPTS) == len(set(SCRIPTS))
    assert page_file.HERE.joinpath("report.css").exists()
