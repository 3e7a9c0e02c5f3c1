"""Configuration of the documentation."""

import logging
import os
import runpy
from pathlib import Path

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
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# packages whose own code is in their __init__.py; others only hand names on
autosummary_context = {
    "documented_here": ["nengo_permadrop.datasets", "nengo_permadrop.dl"]
}
exclude_patterns = ["_build", "auto_examples/**.ipynb", "auto_examples/**.py"]

# Every example is executed, but for those that only Nengo GUI can run (tests do so).
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"gui_\w+\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 5,
}
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False  # autodoc lists them
numpydoc_xref_param_type = False

# A reference within the package that doesn't resolve is an error. Not so for what has
# no place of its own to link to: attributes, parameters and constants, names that the
# package hands on at its top level, and other projects' objects (to link those takes
# their inventories from the network at every build).
FOREIGN = (
    "arviz",
    "collections",
    "concurrent",
    "distributed",
    "keras",
    "matplotlib",
    "nengo",
    "nengo_dl",
    "nengo_loihi",
    "numpy",
    "pandas",
    "pathlib",
    "random",
    "tensorflow",
    "xarray",
)
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"([A-Z]\w+\.)?[a-z]\w*|[A-Z_]+"),
    ("py:obj", r"nengo_permadrop\.\w+"),
    *(("py:.*", rf"{package}(\..*)?") for package in FOREIGN),
]

doctest_global_setup = """
import nengo
import numpy as np

nengo.rc.set("progress", "progress_bar", "none")
"""


def prefer_frontend(app, env):
    """Let ``.PermanentDropout`` mean the transform, and the layer by its full name."""
    objects = env.get_domain("py").objects
    for name, entry in objects.items():
        if name.startswith("nengo_permadrop.sources.keras.layers."):
            objects[name] = entry._replace(aliased=True)


def setup(app):
    app.connect("env-updated", prefer_frontend)


html_theme = "furo"
html_title = "nengo-permadrop"
html_static_path = ["_static"]
