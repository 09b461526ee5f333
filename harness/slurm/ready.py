"""Ready job scripts (jobs/*.sbatch): the cluster's settings, in a block that is written here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.errors import InputError, UserError
from harness.files import write_whole
from harness.slurm.script import quoted, site_lines
from harness.slurm.site import Site

BEGIN, END = "# site: begin", "# site: end"


def write_site_blocks(folder: Path, site: Site) -> Iterator[tuple[Path, bool]]:
    """Replace the site's block in every script of a folder; yields each with whether it changed.

    Raises:
        UserError: if there is no script.
        InputError: if one has no block.
    """
    paths = sorted(folder.glob("*.sbatch"))
    if not paths:
        raise UserError(f"{folder}: no *.sbatch in it; expected the folder of the job scripts")
    texts = [with_block(path, path.read_text(encoding="utf-8"), site) for path in paths]
    for path, text in zip(paths, texts, strict=True):
        yield path, write_whole(path, text)


def with_block(path: Path, text: str, site: Site) -> str:
    """The text of a script with the site's block replaced.

    Raises:
        InputError: if it has no such block.
    """
    head, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, tail = rest.partition(f"{END}\n")
    if not begin or not end:
        raise InputError(path, f"no lines '{BEGIN}' and '{END}'; expected both, once")
    memory = [f"--mem={site.memory}"] if site.memory else []
    options = [f"#SBATCH {quoted(option)}" for option in [*site.chosen(), *memory]]
    return (
        head + begin + "".join(f"{line}\n" for line in [*options, *site_lines(site)]) + end + tail
    )
