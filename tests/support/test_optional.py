"""Which backend Keras starts on, and what is said where something can't be had."""

import json
import os
import subprocess
import sys

import pytest

from nengo_permadrop.support import optional


@pytest.fixture(name="start")
def _start(monkeypatch, tmp_path):
    """Choose as in a process that hasn't imported Keras; returns KERAS_BACKEND."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    # set and deleted, so that what is chosen here ends with the test
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.setattr(optional.importlib.metadata, "version", lambda name: "3.15.1")

    def choose(*installed, told="", configured=None):
        monkeypatch.setattr(optional, "_is_installed", lambda name: name in installed)
        monkeypatch.setenv("KERAS_BACKEND", told)
        if configured is not None:
            (tmp_path / "keras.json").write_text(configured)
        optional.choose_keras_backend()
        return os.environ["KERAS_BACKEND"]

    return choose


@pytest.mark.parametrize(
    "installed, chosen",
    [
        (["tensorflow"], ""),
        (["tensorflow", "jax", "torch"], ""),  # Keras's default
        (["jax"], "jax"),
        (["torch"], "torch"),
        (["torch", "jax"], "jax"),
    ],
)
def test_the_first_that_is_installed(start, installed, chosen):
    assert start(*installed) == chosen
    # what Keras itself writes when it is first imported
    assert start(*installed, configured='{"backend": "tensorflow"}') == chosen


def test_a_choice_stays(start):
    every = optional.KERAS_BACKENDS
    assert start(*every, told="torch") == "torch"
    assert start(*every, told="numpy") == "numpy"
    assert start(*every, configured='{"backend": "torch"}') == ""
    assert start(configured='{"backend": "numpy"}') == ""
    assert start("jax", configured='{"backend": "torch"}') == "jax"
    for unreadable in ("", "[]", "{", '{"backend": null}', "{}"):
        assert start("jax", configured=unreadable) == "jax"


def test_imported_keras_and_keras_2_are_left_alone(start, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", object())
    assert start("jax") == ""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(optional.importlib.metadata, "version", lambda name: "2.12.0")
    assert start("jax") == ""

    def missing(name):
        raise optional.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(optional.importlib.metadata, "version", missing)
    assert start("jax") == ""


def test_nothing_to_run_on_is_told_in_one_line(start):
    with pytest.raises(ImportError, match=r"none of them is installed: pip") as error:
        start()
    assert "nengo-permadrop[jax]" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ImportError, match="KERAS_BACKEND is jax, .*there .torch"):
        start("torch", told="jax")


def test_keras_imports_on_what_was_chosen():
    """In a process of its own, whose Keras has been told nothing."""
    code = (
        "import json, sys; from nengo_permadrop.support import optional as o; "
        "keras = o.require('keras'); "
        "print(json.dumps([o.keras_version(), *sorted(sys.modules)]))"
    )
    env = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    version, *modules = json.loads(done.stdout.splitlines()[-1])
    if version.startswith("2."):
        return
    chosen = version.split()[2]
    assert chosen in modules and chosen in optional.KERAS_BACKENDS


@pytest.mark.parametrize("name", optional.OLD)
def test_what_needs_an_older_python_is_not_advised_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(optional.sys, "version_info", (3, 13, 0))
    with pytest.raises(ImportError, match="can't be installed on Python 3.13 .*3.11"):
        optional.require(name)
    monkeypatch.setattr(optional, "_is_keras3", lambda: True)
    monkeypatch.setattr(optional.sys, "version_info", (3, 11, 9))
    with pytest.raises(ImportError, match=r"Install it with: pip install 'nengo-perm"):
        optional.require(name)


def test_nengo_dl_is_not_advised_beside_keras_3(monkeypatch):
    monkeypatch.setitem(sys.modules, "nengo_dl", None)
    monkeypatch.setattr(optional.sys, "version_info", (3, 11, 9))
    monkeypatch.setattr(optional, "_is_keras3", lambda: False)
    with pytest.raises(ImportError, match=r"permadrop\[dl\]'$"):
        optional.require("nengo_dl")
    monkeypatch.setattr(optional, "_is_keras3", lambda: True)
    with pytest.raises(ImportError, match="environment of its own.* beside Keras 3$"):
        optional.require("nengo_dl")


def test_core_packages_have_no_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="Install it with: pip install h5py$"):
        optional.require("h5py")
