import re
from html.parser import HTMLParser

import pytest
from scaling_tables import Table, amdahl, pipeline

from plots.cli import main


class Reader(HTMLParser):
    """Collects identifiers, references and elements that would need another file."""

    def __init__(self):
        super().__init__()
        self.ids, self.tags, self.outside = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.outside.append(value)


@pytest.fixture
def results(tmp_path):
    laws = {"pipeline": pipeline(), "data_parallel": amdahl(0.02)}
    table = Table(noise=0.02).training([2, 4], strategies=laws)
    table.write(tmp_path)
    sleep = Table("sleep", noise=0.01)
    for p in (1, 2, 4):
        sleep.add(2 / p, processes=p, workload="mine:<Sleep>")
    sleep.write(tmp_path)
    (tmp_path / "roofline.csv").write_text("kernel,gflops\nconv & pool,3.5\n")
    return tmp_path


def test_one_page_with_everything(results, capsys):
    assert main(["report", str(results)]) == 0
    page = (results / "report.html").read_text()
    assert f"wrote {results / 'report.html'}" in capsys.readouterr().out
    reader = Reader()
    reader.feed(page)
    assert reader.outside == []
    assert reader.tags.count("svg") == 2
    assert {"strong_scaling", "sleep", "roofline"} <= set(reader.ids)
    assert "script" not in reader.tags
    assert "conv &amp; pool" in page
    assert "mine:&lt;Sleep&gt;" in page
    assert "<Sleep>" not in re.sub(r"<!--.*?-->", "", page)
    assert "Karp-Flatt" in page
    assert "fingerprint.cpu.model" in page


def test_figures_do_not_share_identifiers(results):
    main(["report", str(results)])
    page = (results / "report.html").read_text()
    figures = re.findall(r"<svg.*?</svg>", page, re.S)
    first, second = (set(re.findall(r'\bid="([^"]+)"', figure)) for figure in figures)
    assert first
    assert not first & second
    for figure in figures:
        used = set(re.findall(r"url\(#([^)]+)\)", figure)) | set(
            re.findall(r'xlink:href="#([^"]+)"', figure)
        )
        assert used <= set(re.findall(r'\bid="([^"]+)"', figure))


def test_a_second_report_is_the_same(results):
    main(["report", str(results), "--out", str(results / "a.html")])
    main(["report", str(results), "--out", str(results / "b.html")])
    assert (results / "a.html").read_bytes() == (results / "b.html").read_bytes()


def test_a_study_that_cannot_be_drawn_is_named(results, capsys):
    Table("lonely").add(1.0, processes=2).write(results)
    assert main(["report", str(results)]) == 0
    assert "not drawn: " in capsys.readouterr().out
    assert "No figure: " in (results / "report.html").read_text()


def test_bad_input(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "no table to report on; run a study first" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "absent")]) == 2
    assert "expected a folder with the tables" in capsys.readouterr().err
    (tmp_path / "broken.csv").write_text("a,b\n1\n")
    assert main(["report", str(tmp_path)]) == 2
    assert "broken.csv: not a table" in capsys.readouterr().err
