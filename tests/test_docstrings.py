"""Docstrings say which parameters there are."""

import importlib
import inspect
import pkgutil
import re

import nengo_permadrop

_SECTION = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n---|\Z)", re.M | re.S)


def documented(doc):
    """Names under "Parameters", in numpydoc's format."""
    section = _SECTION.search(inspect.cleandoc(doc or ""))
    lines = section.group(1).splitlines() if section else []
    names = [line.split(" : ")[0] for line in lines if re.match(r"[\w*]", line)]
    return [name.strip().lstrip("*") for line in names for name in line.split(",")]


def described_objects():
    for info in pkgutil.walk_packages(nengo_permadrop.__path__, "nengo_permadrop."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError:  # what it needs is not installed
            continue
        for name, obj in vars(module).items():
            if getattr(obj, "__module__", None) != info.name:
                continue
            members = vars(obj) if inspect.isclass(obj) else {}
            functions = {n: f for n, f in members.items() if inspect.isfunction(f)}
            for inner, function in {"": obj, **functions}.items():
                if documented(function.__doc__):
                    yield f"{info.name}.{name}.{inner}".rstrip("."), function


def test_parameters_are_those_that_are_accepted():
    wrong, found = [], 0
    for name, obj in described_objects():
        parameters = inspect.signature(obj).parameters
        any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        names = documented(obj.__doc__)
        unknown = [] if any_name else sorted(set(names) - set(parameters))
        missing = sorted(set(parameters) - set(names) - {"self", "cls"})
        found += 1
        if unknown or missing:
            wrong.append(f"{name}: unknown {unknown}, not documented {missing}")
    assert found > 200
    assert not wrong, "\n".join(wrong)


def test_notices():
    assert documented("""
        Words.

        Parameters
        ----------
        a, b : int
            Words, more.
        **c
            Words.

        Returns
        -------
        d : int
        """) == ["a", "b", "c"]
