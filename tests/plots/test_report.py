"""The report: one page, whole by itself, the same each time."""

import csv
import re
import zlib
from html.parser import HTMLParser

import pytest

from plots.cli import main
from plots.report.entries import inline
from tests.plots.scaling_tables import Table, amdahl, pipeline


class Reader(HTMLParser):
    """Collects identifiers, links, elements, and what would need another file."""

    def __init__(self):
        super().__init__()
        self.ids, self.tags, self.links, self.outside = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                (self.links if tag == "a" else self.outside).append(value)


def make(folder):
    laws = {"pipeline": pipeline(), "data_parallel": amdahl(0.02)}
    table = Table(noise=0.02).training([2, 4], strategies=laws)
    table.write(folder)
    sleep = Table("sleep", noise=0.01)
    for p in (1, 2, 4):
        sleep.add(2 / p, processes=p, workload="mine:<Sleep>")
    sleep.write(folder)
    (folder / "ceilings.csv").write_text("kernel,gflops\nconv & pool,3.5\n")
    return folder


@pytest.fixture
def results(tmp_path):
    return make(tmp_path)


def page_of(results):
    assert main(["report", str(results)]) == 0
    return (results / "report.html").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(make(tmp_path_factory.mktemp("report")))


def test_one_page_with_everything(page):
    reader = Reader()
    reader.feed(page)
    assert reader.outside == []
    assert reader.tags.count("figure") == 2
    assert {"strong_scaling", "sleep", "run", "found", "missing", "others"} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert set(reader.links) == {"strong_scaling.csv", "sleep.csv", "ceilings.csv"}
    assert "conv &amp; pool" not in page  # a table that no plot is for is a link
    assert "<Sleep>" not in re.sub(r"<!--.*?-->", "", page)
    assert "Karp-Flatt" in page
    assert "fingerprint.cpu.model" in page
    assert re.search(r"data parallel on 4 processes is 3\.\d+ times \[\d", page)
    for command in ("make strong-scaling", "make weak-scaling", "make robustness"):
        assert command in page


def test_links_lead_to_the_tables_from_where_the_page_stands(results, tmp_path):
    place = tmp_path / "elsewhere" / "page.html"
    place.parent.mkdir()
    assert main(["report", str(results), "--out", str(place)]) == 0
    reader = Reader()
    reader.feed(place.read_text())
    assert all((place.parent / link).is_file() for link in reader.links)


def test_figures_do_not_share_identifiers(page):
    figures = re.findall(r"<figure>.*?</figure>", page, re.S)
    first, second = (set(re.findall(r'\bid="([^"]+)"', figure)) for figure in figures)
    assert first
    assert not first & second
    for figure in figures:
        used = set(re.findall(r"url\(#([^)]+)\)", figure)) | set(
            re.findall(r'<use href="#([^"]+)"', figure)
        )
        assert used <= set(re.findall(r'\bid="([^"]+)"', figure))


def test_a_second_report_is_the_same(results, capsys):
    first = page_of(results)
    assert f"wrote {results / 'report.html'}" in capsys.readouterr().out
    assert page_of(results) == first


def test_a_study_that_cannot_be_drawn_is_named(results, capsys):
    Table("lonely").add(1.0, processes=2).write(results)
    assert "No figure: " in page_of(results)
    assert "not drawn: " in capsys.readouterr().out


def test_bad_input(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "no table to report on; run a study first" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "absent")]) == 2
    assert "expected a folder with the tables" in capsys.readouterr().err
    (tmp_path / "broken.csv").write_text("a,b\n1\n")
    assert main(["report", str(tmp_path)]) == 2
    assert "broken.csv: not a table" in capsys.readouterr().err


def test_disturbed_launches_are_told(results):
    assert "were disturbed" not in page_of(results)
    path = results / "sleep.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_one = (rows[0]["point"], rows[0]["launch"])
    for row in rows:  # a launch's mark stands in each of its rows
        row["marks"] = "other-load" if (row["point"], row["launch"]) == of_one else ""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    told = re.search(
        r"(\d+) of (\d+) launches were disturbed: (.*) \(what the words", page_of(results)
    )
    assert told is not None
    assert int(told[1]) == 1 < int(told[2])
    assert told[3] == "other-load 1"


def test_rows_that_are_not_drawn_are_counted_with_their_reasons(tmp_path):
    table = Table("strong_scaling", noise=0.02).training([2], strategies={"pipeline": pipeline()})
    table.add(1.0, processes=4, strategy="pipeline", status="timeout",
              metrics={"message": "too <slow>"})  # fmt: skip
    table.write(tmp_path)
    told = re.search(r"skipped or failed: (\d+) of (\d+) rows: (.*)\.</p>", page_of(tmp_path))
    assert told is not None
    assert 0 < int(told[1]) < int(told[2])
    assert told[3] == f"timeout {told[1]} (too &lt;slow&gt;)"


def test_the_projects_own_studies_come_before_others(results):
    page = page_of(results)
    assert page.index('id="strong_scaling"') < page.index('id="sleep"')


def test_a_figure_in_the_page_holds_what_is_seen_only():
    svg = (
        '<?xml version="1.0"?>\n<svg>\n <!-- a -->\n <defs>\n'
        '  <path id="m1" d="M 0 0.1234 \nL -0.999999 1 \n"/>\n'
        ' </defs>\n <g id="axes_1">\n  <use xlink:href="#m1" clip-path="url(#p2)"'
        ' transform="scale(0.015625)"/>\n </g>\n'
        ' <clipPath id="p2"/>\n</svg>\n'
    )
    own = f"f{zlib.crc32(b'own'):x}"
    assert inline(svg, "own").strip() == (
        f'<svg><defs><path id="{own}-0" d="M 0 0.12 L -1.00 1 "/></defs><g>'
        f'<use href="#{own}-0" clip-path="url(#{own}-1)" transform="scale(0.015625)"/></g>'
        f'<clipPath id="{own}-1"/></svg>'
    )
