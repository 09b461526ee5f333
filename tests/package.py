"""Wheel and sdist, each installed in a clean environment and tried outside the repository.

``python tests/package.py FOLDER`` (``make package``) leaves both files in FOLDER. It downloads
PyTorch for the environments, and is no part of the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: What the library must do with nothing but its own dependencies.
LIBRARY = """
import importlib.metadata, sys, torch, sparring
assert sparring.__version__ == importlib.metadata.version("sparring")
model = sparring.networks.build("study", seed=0)
x, y = torch.rand(2, 1, 28, 28), torch.tensor([3, 1])
adversaries = sparring.PGD(epsilon=0.1, step_size=0.05, steps=2)(model, x, y)
assert 0 < (adversaries - x).abs().max() <= 0.1 + 1e-6
optional = {"matplotlib", "scipy", "simpy", "tree_sitter", "mlxtend", "pydantic"}
loaded = optional & {name.split(".")[0] for name in sys.modules}
assert not loaded, loaded
engine = sparring.compile(model)  # the kernel's sources are in the package
"""

#: What pip must not bring unless an extra is asked for.
OPTIONAL = ("matplotlib", "mlxtend", "mpich", "pydantic", "scipy", "simpy", "tree_sitter")


def smoke(package: Path, folder: Path) -> None:
    """Install ``package`` in a new environment below ``folder``; the library and its commands."""
    venv.create(folder, with_pip=True)
    bin_folder = folder / "bin"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def call(*command: str | Path, code: int = 0) -> str:
        result = subprocess.run(
            [str(part) for part in command], cwd=folder, env=environment, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert result.returncode == code, f"{command}: {result.returncode}\n{result.stdout}"
        return result.stdout

    def install(*what: str | Path) -> None:
        call(bin_folder / "python", "-m", "pip", "install", "--quiet", *limits, *what)

    limits = ["--constraint", ROOT / "constraints.txt"]
    if index := os.environ.get("TORCH_INDEX"):
        install("--index-url", index, "torch")
    install(package)
    for name in OPTIONAL:
        call(bin_folder / "python", "-c", f"import {name}", code=1)
    call(bin_folder / "python", "-c", LIBRARY)
    assert "calibrate" in call(bin_folder / "sparring", "--help")
    # A command whose packages are absent says so in one sentence.
    for command, extra in (
        ([bin_folder / "sparring-harness", "plan", "study.toml"], "harness"),
        ([bin_folder / "python", "-m", "plots", "scaling", "table.csv"], "plots"),
        ([bin_folder / "python", "-m", "kernels", "machines"], "models"),
    ):
        code = 1 if extra in ("plots", "models") else 2
        told = call(*command, code=code)
        assert re.fullmatch(rf"error: \w+ is not installed: .*'sparring\[{extra}\]'\n", told), told
    install(f"{package}[all]")
    assert "STUDY" in call(bin_folder / "sparring-harness", "plan", "--help")
    assert "scaling" in call(bin_folder / "python", "-m", "plots", "--help")
    assert "measure" in call(bin_folder / "python", "-m", "kernels", "--help")
    (folder / "train.py").write_text((ROOT / "examples" / "train.py").read_text(encoding="utf-8"))
    alone = [bin_folder / "python", "train.py"]
    for processes, command in ((1, alone), (2, [bin_folder / "mpiexec", "-n", "2", *alone])):
        told = call(*command)
        assert told.startswith(f"processes: {processes},"), told
        assert float(told.split("robust accuracy")[1]) > 0.5, told  # chance is 0.1


def main() -> None:
    """Build both, then try each."""
    made = Path(sys.argv[1]).resolve()
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(made), str(ROOT)], check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for kind in ("*.whl", "*.tar.gz"):
        package = max(made.glob(f"sparring-{kind}"), key=lambda file: file.stat().st_mtime)
        with tempfile.TemporaryDirectory() as folder:
            smoke(package, Path(folder))
        print(f"{package.name}: installs in a clean environment, and works")


if __name__ == "__main__":
    main()
