"""The package as a whole: what importing it costs, what it promises to install."""

import ast
import importlib
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import nengo_permadrop as npd
from nengo_permadrop.support import optional

ROOT = Path(__file__).parent.parent
PACKAGE = Path(npd.__file__).parent

# What `import nengo_permadrop` must not import: everything optional, and what is
# installed but slow.
LATE = {name.partition(".")[0] for name in (*optional.EXTRAS, *optional.CORE)} | {
    "dask",
    "jax",
    "numba",
    "pandas",
    "torch",
    "tqdm",
}
# modules whose distribution has another name
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def fresh_process(code):
    """The last line that some code prints in a process of its own, from JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(name="imported", scope="module")
def _imported():
    return fresh_process(
        "import json, sys, nengo, nengo_permadrop; print(json.dumps(list(sys.modules)))"
    )


def test_import_leaves_optional_packages_alone(imported):
    assert "nengo_permadrop" in imported
    top = {name.partition(".")[0] for name in imported}
    assert not top & LATE
    assert "scipy.stats" not in imported


def test_import_registers_builders(imported):
    """Networks with dropout build without any further import."""
    assert "nengo_permadrop.dropout.builder" in imported


def test_public_names_resolve():
    for name in npd.__all__:
        assert getattr(npd, name) is not None
        assert name in dir(npd)
    assert len(set(npd.__all__)) == len(npd.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        npd.nonsense  # noqa: B018


def test_lazy_names_are_those_of_their_modules():
    lazy = fresh_process(
        "import json, nengo_permadrop as npd; "
        "before = set(vars(npd)); sampler = npd.sample; "
        "print(json.dumps([sorted(set(npd.__all__) - before), "
        "sampler.__module__, npd.sample is sampler]))"
    )
    names, module, same = lazy
    assert "sample" in names
    assert module == "nengo_permadrop.sampling.sampler"
    assert same


def requirements(extra):
    """Names of the distributions that an extra installs."""
    mark = re.compile(rf"extra == [\"']{extra}[\"']")
    required = metadata.requires("nengo-permadrop") or []
    return {
        re.match(r"[\w.-]+", line)[0].lower() for line in required if mark.search(line)
    }


needs_metadata = pytest.mark.skipif(
    not any(metadata.packages_distributions().get("nengo_permadrop", ())),
    reason="nengo-permadrop is imported without being installed",
)


@needs_metadata
def test_version():
    assert npd.__version__ == metadata.version("nengo-permadrop")


@needs_metadata
@pytest.mark.parametrize("module", sorted(optional.EXTRAS))
def test_extras_install_what_require_names(module):
    """The install command in `require`'s message installs the module."""
    extra = optional.EXTRAS[module]
    top = module.partition(".")[0]
    distribution = DISTRIBUTIONS.get(top, top.replace("_", "-"))
    installed = requirements(extra)
    assert distribution in installed
    # what is no feature of ours, or can't be installed beside TensorFlow 2.12
    assert installed <= requirements("all") or extra in ("bench", "torch", "onnx")


def wanted(extra, python):
    """Names of the distributions that an extra installs on a version of Python."""
    lines = map(Requirement, metadata.requires("nengo-permadrop") or [])
    where = {"extra": extra, "python_version": python}
    return {
        line.name
        for line in lines
        if line.marker is None or line.marker.evaluate(where)
    }


@needs_metadata
def test_extras_leave_out_what_can_not_be_installed():
    old = {name.replace("_", "-") for name in optional.OLD} | {"tensorflow"}
    newest = ".".join(map(str, optional.NEWEST))
    every = metadata.metadata("nengo-permadrop").get_all("Provides-Extra")
    assert old <= wanted("all", newest)
    for python in ("3.12", "3.13", "3.14"):
        for extra in every:
            assert not old & wanted(extra, python), (extra, python)
        # there a study has Keras, and with ``all`` what it runs on
        assert "keras" in wanted("study", python)
        assert {"keras", "jax"} <= wanted("all", python)
    # Keras 3 can't be installed beside TensorFlow 2.12
    for extra in {*every} - {"keras3", "jax"}:
        assert not {"keras", "jax"} & wanted(extra, newest), extra
    for extra in ("keras3", "jax"):
        assert "tensorflow" not in wanted(extra, newest)
    assert "h5py" in wanted("", newest)


@needs_metadata
def test_extras_of_the_users_guide():
    provided = set(metadata.metadata("nengo-permadrop").get_all("Provides-Extra"))
    guide = (ROOT / "docs" / "install.rst").read_text(encoding="utf-8")
    guide = guide.partition("What works where")[0]
    assert set(re.findall(r"^``(\w+)``  ", guide, flags=re.MULTILINE)) == provided


def test_required_modules_are_known():
    """`require` is only ever asked for modules that it can explain."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", None))
                == "require"
            ):
                names.add(ast.literal_eval(node.args[0]))
    assert names
    assert names <= {*optional.EXTRAS, *optional.CORE}


def test_require_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"needs jinja2.*nengo-permadrop\[study\]"):
        optional.require("jinja2")


def test_require_imports():
    assert optional.require("matplotlib.pyplot") is importlib.import_module(
        "matplotlib.pyplot"
    )
