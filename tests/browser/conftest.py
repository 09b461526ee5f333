"""A browser, and the report that it reads; what cannot start says what to install."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from plots.cli import main

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
#: Published tables, one of each kind of section that the page has.
TABLES = (
    "intel-xeon-2-cores/avx512/strong_scaling.csv",
    "intel-xeon-2-cores/avx512/attack_benchmark.csv",
    "intel-xeon-2-cores/avx512/simulation.csv",
    "intel-xeon-2-cores/robustness/robustness.csv",
    "amd-epyc-2-cores/roofline/roofline.csv",
    "amd-epyc-2-cores/roofline/ceilings.csv",
    "amd-epyc-2-cores/roofline/machines.csv",
    "amd-epyc-2-cores/staleness.csv",
)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, or the one that CHROMIUM names."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None or shutil.which(program) is None:
        pytest.fail(
            "no Chromium here: install Debian's package `chromium`, or let CHROMIUM name a program"
        )
    with sync_playwright() as playwright:
        # Root, as in a container, may not use the sandbox; the page is this repository's own.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """The report of published tables, as a file's address."""
    folder = tmp_path_factory.mktemp("results")
    for name in TABLES:
        source = PUBLISHED / name
        for path in source.parent.glob(f"{source.stem}.*"):
            shutil.copy(path, folder)
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").as_uri()
