"""The options that choose a study, its size and its results; shared by the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.errors import UserError
from harness.run.session import Session, submitted_session
from harness.study.study import Study, load_study
from harness.submission.manifest import read_manifest, read_manifests, results_of

Command = TypeVar("Command", bound=Callable[..., Any])


class _Folder(click.Path):
    """A folder with a name: an empty one, as of a shell's unset variable, is no folder's."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty; expected that of a folder", param, ctx)
        return super().convert(value, param, ctx)


def study_options(command: Command) -> Command:
    """Study, preset, settings and results folder."""
    study = click.argument("study", type=click.Path(path_type=Path), required=False)
    return study(study_settings(command))


def study_settings(command: Command) -> Command:
    """Preset, settings and results folder."""
    for decorate in (
        click.option("--results", "results", type=_Folder(path_type=Path, file_okay=False),
                     default=Path("results"), show_default=True,
                     help="Folder of the tables and launch files."),
        click.option("--oversubscribe", is_flag=True,
                     help="Run points with more processes than cores, marked as such."),
        click.option("--emulate", type=click.IntRange(1), metavar="N",
                     help="Also emulate STUDY on up to N processes: real messages, and computing "
                          "replaced by sleeping for its calibrated time."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
                     help="Set a parameter (a list, as in --set 'processes=[1, 2]', becomes a "
                          "sweep), or a setting of [measure], as in measure.launches=10. What "
                          "the study holds as text stays text."),
        click.option("--preset", help="Which of the study's presets [default: the study's own]."),
    ):  # fmt: skip
        command = decorate(command)
    return command


def manifest_option(command: Command) -> Command:
    """A submission's manifest in the place of a study."""
    return click.option(
        "--manifest", type=click.Path(path_type=Path), metavar="FILE",
        help="A submission's manifest.json, in the place of STUDY and its options.",
    )(command)  # fmt: skip


def json_option(command: Command) -> Command:
    """The answer for programs."""
    return click.option("--json", "as_json", is_flag=True,
                        help="One JSON document on stdout, for programs.")(command)  # fmt: skip


def settings(
    overrides: tuple[str, ...], oversubscribe: bool, emulate: int | None
) -> tuple[str, ...]:
    """All ``key=value`` settings of a command line."""
    added = ["measure.oversubscribe=true"] if oversubscribe else []
    added += [f"measure.emulate={emulate}"] if emulate else []
    return (*overrides, *added)


def study_named(
    study: Path | None, preset: str | None, overrides: tuple[str, ...], oversubscribe: bool,
    emulate: int | None,
) -> Study:  # fmt: skip
    """The study that a command line names.

    Raises:
        UserError: if it names none, or one that cannot be used.
    """
    if study is None:
        raise UserError("no study named; expected STUDY.toml")
    return load_study(study, preset or None, settings(overrides, oversubscribe, emulate))


def open_session(results: Path, **named: Any) -> Session:
    """The study of a command line on this machine."""
    return Session(study_named(**named), results)


def open_submitted(manifest: Path | None, results: Path, **named: Any) -> Session:
    """A submission's study, or that of a command line as it was last submitted, if it was.

    Its points are the submission's, and it looks at the environment of the nodes that ran them.

    Raises:
        UserError: if both a manifest and a study are named.
    """
    if manifest is not None:
        if named["study"] is not None:
            raise UserError("--manifest and a study are named; expected one of them")
        session = submitted_session(read_manifest(manifest), results_of(manifest))
        session.look_elsewhere()
        return session
    study = study_named(**named)
    chosen = settings(named["overrides"], named["oversubscribe"], named["emulate"])
    for submitted in reversed(read_manifests(results.resolve(), study.name)):
        if (submitted.preset, submitted.overrides) == (study.preset, chosen):
            session = Session(study, results, given=submitted.planned())
            session.look_elsewhere()
            return session
    return Session(study, results)
