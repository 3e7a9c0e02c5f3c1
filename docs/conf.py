"""Configuration of the documentation."""

import contextlib
import importlib.util
import inspect
import logging
import os
import pkgutil
import re
import runpy
from pathlib import Path

from docutils import nodes
from latex2mathml import converter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before doctests import TensorFlow

logging.getLogger("nengo_permadrop").setLevel(logging.WARNING)  # not in the examples

ROOT = Path(__file__).parent.parent

project = "nengo-permadrop"
author = "nengo-permadrop contributors"
copyright = "2026, nengo-permadrop contributors"
version = release = runpy.run_path(str(ROOT / "nengo_permadrop" / "version.py"))[
    "version"
]

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/**.ipynb", "auto_examples/**.py"]

# Every example is executed, but for those that only Nengo GUI can run (tests do so).
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",
    # PyTorch isn't beside TensorFlow 2.12, with which these pages are made
    "ignore_pattern": r"(gui_\w+|train_in_pytorch)\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 5,
    "write_computation_times": False,  # a page that loads scripts from the net
}
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "ignore-module-all": True,  # what a package hands on is documented where it is made
}
autodoc_inherit_docstrings = False
# what isn't beside TensorFlow 2.12; modules of ours begin with its import
autodoc_mock_imports = [
    name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None
]
numpydoc_show_class_members = False  # autodoc lists them
numpydoc_xref_param_type = False

# A reference within the package that doesn't resolve is an error. Not so for what has
# no place of its own to link to: attributes, parameters and constants, and other
# projects' objects (to link those takes their inventories from the network at every
# build).
FOREIGN = (
    "arviz",
    "collections",
    "concurrent",
    "distributed",
    "keras",
    "matplotlib",
    "multiprocessing",
    "nengo",
    "nengo_dl",
    "nengo_loihi",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "pathlib",
    "random",
    "tensorflow",
    "torch",
    "xarray",
)
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"([A-Z]\w+\.)?[a-z]\w*|[A-Z_]+"),
    *(("py:.*", rf"{package}(\..*)?") for package in FOREIGN),
]

doctest_global_setup = """
import nengo
import numpy as np

nengo.rc.set("progress", "progress_bar", "none")
"""


def handed_on(module):
    """Names and objects that users import from a module, wherever they are defined."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, obj in vars(module).items()
            if getattr(obj, "__module__", None) == module.__name__
        ]
    return {name: getattr(module, name) for name in names}


def public_modules():
    """What users import from, by the name that they use."""
    package = importlib.import_module("nengo_permadrop")
    yield package.__name__, package
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not info.name.endswith(("__main__", ".cli")):
            # what isn't here has no place that a name could lead to
            with contextlib.suppress(ImportError):
                yield info.name, importlib.import_module(info.name)
    for name, obj in handed_on(package).items():
        if inspect.ismodule(obj):  # npd.models
            yield f"{package.__name__}.{name}", obj


def add_public_names(app, env):
    """
    Let references find what a package hands on, such as ``npd.metrics.score``.

    They lead to where it is defined. Where two objects have one name,
    ``.PermanentDropout`` means the transform, and the layers have their full names.
    """
    objects = env.get_domain("py").objects
    for name, entry in list(objects.items()):
        if re.match(r"nengo_permadrop\.sources\.(keras|torch)\.layers\.", name):
            objects[name] = entry._replace(aliased=True)
    for module_name, module in public_modules():
        for name, obj in handed_on(module).items():
            defined = f"{getattr(obj, '__module__', '')}.{getattr(obj, '__name__', '')}"
            public = f"{module_name}.{name}"
            if defined in objects and public not in objects:
                objects[public] = objects[defined]._replace(aliased=True)


def write_inline_math(translator, node):
    """As MathML, which browsers show without scripts: the pages are read offline."""
    translator.body.append(converter.convert(node.astext()))
    raise nodes.SkipNode


def write_math(translator, node):
    translator.body.append(converter.convert(node.astext(), display="block"))
    raise nodes.SkipNode


def setup(app):
    app.connect("env-updated", add_public_names)
    app.add_html_math_renderer("mathml", (write_inline_math, None), (write_math, None))


html_math_renderer = "mathml"


html_theme = "furo"
html_title = "nengo-permadrop"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
