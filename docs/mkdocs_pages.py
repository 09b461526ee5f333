"""MkDocs' hook: the README is the site's first page, and the library's docstrings are a page."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
NAMES = (
    "sparring.trainer.Trainer", "sparring.attacks", "sparring.strategies.sequential.Sequential",
    "sparring.strategies.data_parallel.DataParallel", "sparring.strategies.sharded.Sharded",
    "sparring.strategies.pipeline.options", "sparring.recipes", "harness.workload",
)  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the two pages."""
    home = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    reference = "# Reference\n\n" + "".join(f"::: {name}\n\n" for name in NAMES)
    files.append(File.generated(config, "index.md", content=home))
    files.append(File.generated(config, "reference.md", content=reference))
    return files
