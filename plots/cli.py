"""The command line of plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from harness.errors import UserError
from harness.tables.table import write_whole
from plots import report
from plots.attack_benchmark import files as attack_benchmark_files
from plots.attack_benchmark import table as attack_benchmark
from plots.ceilings import figure as ceilings_figure
from plots.gallery import gallery as pictures
from plots.openmp import attack as openmp_attack
from plots.openmp import figure as openmp_figure
from plots.openmp import table as openmp
from plots.openmp import text as openmp_text
from plots.robustness import figure as robustness_figure
from plots.robustness import table as robustness
from plots.robustness import text as robustness_text
from plots.roofline import claims as roofline_claims
from plots.roofline import figure as roofline_figure
from plots.roofline import roofs as roofline_roofs
from plots.roofline import table as roofline
from plots.roofline import text as roofline_text
from plots.scaling import figure as scaling_figure
from plots.scaling import text as scaling_text
from plots.scaling.table import analyse
from plots.shared import reference
from plots.shared.observations import select
from plots.simulation import figure as simulation_figure
from plots.simulation import table as simulation
from plots.staleness import figure as staleness_figure
from plots.staleness import table as staleness
from plots.virtual import figure as virtual_figure
from plots.virtual import table as virtual

FOLDER = click.Path(file_okay=False, path_type=Path)
EXISTING = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def plots() -> None:
    """Figures, fits and a report from the tables that `python -m harness run` wrote.

    Nothing is measured here: every command reads CSV files and can be repeated at any time, on any
    machine. Equal tables give equal files, byte for byte.
    """


def _pair(_: click.Context, __: click.Parameter, values: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [value.partition("=") for value in values]
    for key, equals, _value in pairs:
        if not (key and equals):
            raise click.BadParameter(f"expected key=value, found '{key}'")
    return [(key, value) for key, _equals, value in pairs]


@plots.command()
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option(
    "--kind", type=click.Choice(["auto", "strong", "weak"]), default="auto", show_default=True,
    help="auto: weak if the table has a column `definition`, else strong.",
)  # fmt: skip
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE", callback=_pair,
    help="Draw only rows with this value in column KEY; may be given several times.",
)  # fmt: skip
@click.option(
    "--environment", metavar="ID",
    help="Draw the rows of this environment (the beginning of its id is enough) instead of the "
    "one last measured.",
)  # fmt: skip
@click.option(
    "--reference", type=FOLDER,
    help="Folder with the original study's strong_scaling.csv [default: reference next to CSV, "
    "else the project's results/reference].",
)  # fmt: skip
@click.option(
    "--all-points", is_flag=True,
    help="Draw all points of the table, also those of presets and settings asked for earlier.",
)  # fmt: skip
def scaling(
    csv: Path, out: Path | None, kind: str, where: list[tuple[str, str]], environment: str | None,
    reference: Path | None, all_points: bool,
) -> None:  # fmt: skip
    """Draw speed-up and efficiency of the study in CSV, with intervals, bounds and fits.

    Reads CSV (one row per timed repetition) and, where they stand beside it, <study>.points.csv
    (which points were last asked for), <study>.ranks.csv (phase times, for the bounds)
    and <study>.environment.json. Writes <study>.svg, <study>.png and <study>.fits.csv.

    Strong scaling: speed-up over the strategy `sequential` on one process with one thread; in a
    table without strategies, over the workload's own run on one process. Weak scaling: scaled
    speed-up, from the sequential time of each problem size.

    \b
    Examples:
      python -m plots scaling results/strong_scaling.csv
      python -m plots scaling results/strong_scaling.csv --where adversary_steps=32 --out paper
      python -m plots scaling results/sleep.csv --kind weak
    """  # noqa: D301  (click reads the escape)
    selection = select(csv, environment=environment, where=where, all_points=all_points)
    analysis = analyse(selection, kind, reference)
    folder = out or csv.parent / "figures"
    table = folder / f"{selection.study}.fits.csv"
    written = [*scaling_figure.save(analysis, folder), table]
    write_whole(table, scaling_text.fits_table(analysis))
    click.echo(scaling_text.describe(analysis))
    click.echo("\n" + "\n".join(f"wrote {path}" for path in written))


@plots.command("staleness")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE", callback=_pair,
    help="Draw only rows with this value in column KEY; may be given several times.",
)  # fmt: skip
@click.option("--environment", metavar="ID", help="Draw the rows of this environment.")
@click.option("--all-points", is_flag=True, help="Draw all points of the table.")
def staleness_command(
    csv: Path, out: Path | None, where: list[tuple[str, str]], environment: str | None,
    all_points: bool,
) -> None:  # fmt: skip
    """Draw how old the weights behind batches were, and what that cost.

    Reads CSV and, beside it, <study>.details.csv (one row per update). Writes <study>.svg and
    <study>.png.

    \b
    Example:
      python -m plots staleness results/staleness.csv
    """  # noqa: D301  (click reads the escape)
    selection = select(csv, environment=environment, where=where, all_points=all_points)
    study = staleness.analyse(selection)
    written = staleness_figure.save(study, out or csv.parent / "figures")
    click.echo(staleness.describe(study))
    click.echo("\n" + "\n".join(f"wrote {path}" for path in written))


@plots.command("openmp")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option("--environment", metavar="ID", help="Draw the rows of this environment.")
@click.option("--all-points", is_flag=True, help="Draw all points of the table.")
def openmp_command(csv: Path, out: Path | None, environment: str | None, all_points: bool) -> None:
    """Draw threads against each other: chains of Jacobians, input gradients, attacks.

    Reads CSV and, beside it, <study>.details.csv (one row for each time). Ratios are of times in
    the same round. Writes <study>_chains, _random, _gradient and _attack, as far as they were
    measured, each as .svg and .png.

    \b
    Example:
      python -m plots openmp results/openmp.csv
    """  # noqa: D301  (click reads the escape)
    found = openmp.analyse(select(csv, environment=environment, all_points=all_points))
    study = openmp_attack.study(reference.find(csv, None))
    written = openmp_figure.save(found, study, out or csv.parent / "figures")
    click.echo(openmp_text.describe(found, study))
    click.echo("\n" + "\n".join(f"wrote {path}" for path in written))


@plots.command("attack-benchmark")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option("--run", metavar="ID", help="Draw this run (the beginning of its name is enough) "
              "instead of the last one.")  # fmt: skip
def attack_benchmark_command(csv: Path, out: Path | None, run: str | None) -> None:
    """Draw how fast attacks and training are, by library, and print ratios with intervals.

    Reads the CSV that `python -m sparring attack --benchmark` wrote. Ratios are of times in the
    same round. Writes <table>.svg, <table>.pdf and <table>.png of attacks, and
    <table>_training.* of updates and iterations, as far as the run measured them.

    \b
    Example:
      python -m plots attack-benchmark results/attack_benchmark.csv
    """  # noqa: D301  (click reads the escape)
    found = attack_benchmark.analyse(csv, run)
    written = attack_benchmark_files.save(found, out or csv.parent / "figures")
    click.echo(attack_benchmark.describe(found))
    click.echo("\n" + "\n".join(f"wrote {path}" for path in written))


@plots.command("roofline")
@click.argument("csv", type=EXISTING)
@click.option("--ceilings", type=EXISTING, help="Measured roofs, of `python -m kernels ceilings` "
              "[default: ceilings.csv next to CSV].")  # fmt: skip
@click.option("--machines", type=EXISTING, help="Theoretical roofs, of `python -m kernels machines "
              "--csv` [default: machines.csv next to CSV].")  # fmt: skip
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option("--variant", multiple=True, metavar="NAME", help="Draw this variant of each kernel "
              "instead of the fastest; may be given several times, the first that a kernel has "
              "counts.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
              help="Draw kernels that ran on so many threads.")  # fmt: skip
@click.option("--input-size", type=click.IntRange(1),
              help="Rows of an image [default: the most frequent in CSV].")  # fmt: skip
@click.option("--table", is_flag=True, help="Print tables for a document (Markdown), and draw "
              "nothing.")  # fmt: skip
def roofline_command(
    csv: Path, ceilings: Path | None, machines: Path | None, out: Path | None,
    variant: tuple[str, ...], threads: int, input_size: int | None, table: bool,
) -> None:  # fmt: skip
    """Draw kernels under the roofs of machines: where memory bounds them, and at which level.

    Reads the CSV that `python -m kernels measure` wrote. Kernels that were measured stand where
    they were measured; on machines that were not at hand they stand at the bound that simulated
    traffic and theoretical roofs imply. Writes <table>.svg and <table>.png.

    \b
    Examples:
      python -m plots roofline results/roofline.csv
      python -m plots roofline results/roofline.csv --variant torch_nchw --table
    """  # noqa: D301  (click reads the escape)
    roofs = roofline_roofs.load(csv, ceilings, machines)
    study = roofline.analyse(csv, roofs, threads=threads, input_size=input_size)
    if table:
        click.echo(roofline_text.markdown(study, variant))
        return
    folder = out or csv.parent / "figures"
    written = roofline_figure.save(study, folder, variant, roofline_claims.load(csv))
    click.echo(roofline_text.describe(study, variant))
    click.echo("\n" + "\n".join(f"wrote {path}" for path in written))


@plots.command("ceilings")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
def ceilings_command(csv: Path, out: Path | None) -> None:
    """Draw this machine's bandwidth over the working set, and the roof of each level.

    Reads the latest run of the bandwidth_curve.csv that `python -m kernels ceilings` wrote.

    \b
    Example:
      python -m plots ceilings results/bandwidth_curve.csv
    """  # noqa: D301  (click reads the escape)
    written = ceilings_figure.save(
        ceilings_figure.load(csv), out or csv.parent / "figures", csv.stem
    )
    click.echo("\n".join(f"wrote {path}" for path in written))


@plots.command("robustness")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE", callback=_pair,
    help="Use only rows with this value in column KEY; may be given several times.",
)  # fmt: skip
@click.option("--environment", metavar="ID", help="Use the rows of this environment.")
@click.option("--all-points", is_flag=True, help="Use all points of the table.")
def robustness_command(
    csv: Path, out: Path | None, where: list[tuple[str, str]], environment: str | None,
    all_points: bool,
) -> None:  # fmt: skip
    """Say which ways of training keep the baseline's robust accuracy, and draw it.

    Reads CSV and, beside it, <study>.details.csv (accuracy on the way). Differences are paired by
    seed; margin, alpha and endpoint stand in the table, since the study fixed them before it ran.
    Writes <study>.verdicts.csv, <study>.svg and <study>.png.

    \b
    Example:
      python -m plots robustness results/robustness.csv
    """  # noqa: D301  (click reads the escape)
    selection = select(csv, environment=environment, where=where, all_points=all_points)
    study = robustness.analyse(selection)
    folder = out or csv.parent / "figures"
    table = (out or csv.parent) / f"{selection.study}.verdicts.csv"
    written = [*robustness_figure.save(study, folder), table]
    write_whole(table, robustness_text.verdicts_table(study))
    click.echo(robustness_text.describe(study))
    click.echo("\n" + "\n".join(f"wrote {path}" for path in written))


@plots.command("gallery")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
def gallery_command(csv: Path, out: Path | None) -> None:
    """Draw images and adversaries before and after adversarial training.

    Reads the CSV that `python -m sparring gallery CHECKPOINT` wrote. Writes <table>.svg and .png:
    image, perturbation and adversary, each with the predicted class and its probability; and
    <table>_perturbations.*: the perturbations alone, side by side.

    \b
    Example:
      python -m plots gallery results/gallery.csv
    """  # noqa: D301  (click reads the escape)
    found = pictures.load(csv)
    written = pictures.save(found, out or csv.parent / "figures")
    click.echo("\n".join(f"wrote {path}" for path in written))


@plots.command("simulation")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option("--measured", type=EXISTING, help="Table of strong scaling whose measured and "
              "emulated points are drawn beside this machine's [default: strong_scaling.csv next "
              "to CSV].")  # fmt: skip
@click.option("--reference", type=FOLDER, help="Folder with the original study's rows.")
def simulation_command(
    csv: Path, out: Path | None, measured: Path | None, reference: Path | None
) -> None:
    """Draw how far strategies scale by simulation, beside what was measured and emulated.

    Reads the CSV that `python -m experiments.simulation` wrote. Writes <table>.svg and <table>.png.

    \b
    Example:
      python -m plots simulation results/simulation.csv
    """  # noqa: D301  (click reads the escape)
    study = simulation.analyse(csv, measured, reference)
    written = simulation_figure.save(study, out or csv.parent / "figures")
    click.echo("\n".join(f"wrote {path}" for path in written))


@plots.command("virtual")
@click.argument("csv", type=EXISTING)
@click.option("--out", type=FOLDER, help="Folder for the figures [default: figures next to CSV].")
@click.option("--reference", type=FOLDER, help="Folder with the original study's rows.")
def virtual_command(csv: Path, out: Path | None, reference: Path | None) -> None:
    """Draw the accuracy of virtual executions beside the original study's.

    Reads the CSV that `python -m experiments.virtual` wrote. Writes <table>.svg and <table>.png.

    \b
    Example:
      python -m plots virtual results/virtual.csv
    """  # noqa: D301  (click reads the escape)
    study = virtual.analyse(csv, reference)
    click.echo("\n".join(virtual.describe(study)))
    written = virtual_figure.save(study, out or csv.parent / "figures")
    click.echo("\n".join(f"wrote {path}" for path in written))


@plots.command("report")
@click.argument("results", type=EXISTING)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
              help="The page [default: report.html in RESULTS].")  # fmt: skip
def report_command(results: Path, out: Path | None) -> None:
    """Make one self-contained HTML page from all tables in the folder RESULTS.

    Figures stand in the page as SVG, with the tables of points and fits and with what is known of
    the machine. A table that is no scaling study is shown as rows; one that cannot be drawn is
    named with the reason.

    \b
    Example:
      python -m plots report results
    """  # noqa: D301  (click reads the escape)
    page = out or results / "report.html"
    html, skipped = report.page(results)
    write_whole(page, html)
    for reason in skipped:
        click.echo(f"not drawn: {reason}")
    click.echo(f"wrote {page}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; bad input becomes one sentence on stderr.

    Returns:
        0 on success, 2 on bad input.
    """
    try:
        plots.main(args=arguments, prog_name="python -m plots", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        click.echo(error.format_message().replace("\n", " "), err=True)
        return 2
    except UserError as error:
        click.echo(str(error), err=True)
        return error.exit_code
    except OSError as error:
        place = error.filename or "output"
        click.echo(f"{place}: cannot be read or written: {error.strerror}", err=True)
        return 2
    except click.Abort:
        return 130
    return 0
