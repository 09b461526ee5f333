"""What a cluster wants to be told, in one TOML file (jobs/site.toml)."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.errors import UserError
from harness.study.toml_source import read_toml

#: Looked for in the current folder where no ``--site`` is given.
DEFAULT = Path("jobs/site.toml")

_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


class Site(BaseModel):
    """Settings of a cluster; each becomes an option of sbatch(1) or a line of the job script.

    Attributes:
        memory: per node, as ``--mem``; empty asks for all of an exclusive node's.
        time: time limit of a task, as ``--time``; empty lets the study's limits decide.
        mail: address for ``mail_events`` (``--mail-type``).
        modules: loaded once, at the beginning of every job.
        setup: lines of shell after them, such as the activation of an environment.
        mpi: how ranks start: a plugin of ``srun --mpi=list``, or ``mpiexec``; empty finds out.
        cores_per_node: physical cores; 0 asks sinfo(1).
        exclusive: take whole nodes, so that nobody else's work disturbs a measurement.
        throttle: array tasks that may run at once; 0 is no limit.
        grace_seconds: before the time limit, for writing what is finished.
        options: further options of sbatch, such as ``--reservation=ours``.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    memory: str = ""
    time: str = ""
    mail: str = ""
    mail_events: str = "END,FAIL"
    modules: list[str] = []
    setup: list[str] = []
    mpi: str = ""
    cores_per_node: int = Field(0, ge=0)
    exclusive: bool = True
    throttle: int = Field(0, ge=0)
    grace_seconds: int = Field(60, ge=1, le=65535)
    options: list[str] = []

    @field_validator("time")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        if value:
            seconds_of(value)
        return value

    @field_validator(
        "partition", "account", "qos", "constraint", "memory", "mail", "mail_events",
    )  # fmt: skip
    @classmethod
    def _is_in_a_line(cls, value: str) -> str:
        if "\n" in value:
            raise ValueError(f"expected a text in one line, found {value!r}")
        return value

    @field_validator("options")
    @classmethod
    def _are_options(cls, value: list[str]) -> list[str]:
        for option in value:
            if not option.startswith("-") or "\n" in option:
                raise ValueError(f"expected options such as --reservation=ours, found {option!r}")
        return value

    def chosen(self) -> list[str]:
        """The options of sbatch that say where, and on whose account."""
        named = {"partition": self.partition, "account": self.account, "qos": self.qos,
                 "constraint": self.constraint}  # fmt: skip
        options = [f"--{name}={value}" for name, value in named.items() if value]
        if self.mail:
            options += [f"--mail-user={self.mail}", f"--mail-type={self.mail_events}"]
        return [*options, *self.options]


def read_site(path: Path | None) -> Site:
    """Read a site's settings; without a path those of the current folder, or defaults.

    Raises:
        UserError: with one sentence on the first fault.
    """
    if path is None:
        if not DEFAULT.is_file():
            return Site()
        path = DEFAULT
    source = read_toml(path)
    try:
        return Site.model_validate(source.data)
    except ValidationError as error:
        detail = error.errors()[0]
        place = tuple(part for part in detail["loc"] if source.holds(detail["loc"][:1]))
        name = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            known = ", ".join(Site.model_fields)
            raise source.error(place, f"'{name}': unknown key; expected one of {known}") from None
        told = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        told = told.replace("a valid ", "a ")
        found = "" if "found" in told else f", found {detail['input']!r}"
        raise source.error(place, f"'{name}': {told}{found}") from None


def seconds_of(time: str) -> int:
    """Seconds of a time limit as sbatch(1) takes it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S.

    Raises:
        ValueError: with a sentence, if it is none.
    """
    match = _TIME.fullmatch(time.strip())
    if not match:
        raise ValueError(
            f"expected a time such as 30 (minutes), 12:00:00 or 1-12:00:00, found '{time}'"
        )
    days, *rest = match.groups()
    fields = [int(field) for field in rest if field is not None]
    units = (3600, 60, 1) if days or len(fields) == 3 else (60, 1)
    seconds = int(days or 0) * 86400 + sum(n * u for n, u in zip(fields, units, strict=False))
    if seconds < 60:
        raise ValueError(f"expected a time of a minute or more, found '{time}'")
    return seconds


def limit_seconds(text: str, option: str) -> int:
    """`seconds_of` for an option of the command line.

    Raises:
        UserError: if it is no time.
    """
    try:
        return seconds_of(text)
    except ValueError as error:
        raise UserError(f"{option}: {error}") from None
