"""Installation of nengo-permadrop."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# read without importing the package, which needs what is only being installed
VERSION = runpy.run_path(str(ROOT / "nengo_permadrop" / "version.py"))["version"]

install_req = [
    "filelock>=4.0",
    "h5py>=3.8",
    "nengo>=4.1",
    "numba>=0.58",
    "numpy>=1.22",
    "pandas>=2.0",
    "scipy>=1.10",
    "shtab>=1.6",
    "threadpoolctl>=3.1",
    "tqdm>=4.60",
]

# nengo-dl 3.6 imports keras.engine, which TensorFlow 2.13 removed, without saying so in
# its own requirements; TensorFlow 2.12 in turn needs Python < 3.12 and old NumPy.
# nengo-loihi 1.1 needs NumPy 1. So newer Pythons have neither, and bounds that follow
# from them hold on the old one only; newer ones have Keras 3, on any of its backends.
OLD, NEW = 'python_version < "3.12"', 'python_version >= "3.12"'


def where(marker, *requirements):
    return [f"{requirement}; {marker}" for requirement in requirements]


tensorflow_req = where(OLD, "tensorflow>=2.12.1,<2.13", "numpy<1.24.4")
keras3_req = ["keras>=3.8"]
keras_req = [*tensorflow_req, *where(NEW, *keras3_req)]
jax_req = ["jax>=0.4.35"]
extras_req = {
    "keras": keras_req,
    "keras3": keras3_req,
    "jax": [*keras3_req, *jax_req],
    "study": [*keras_req, "jinja2>=3.0", "matplotlib>=3.5", "scikit-learn>=1.2"],
    "dl": [*where(OLD, "nengo-dl==3.6.0"), *tensorflow_req],
    "loihi": where(OLD, "nengo-loihi==1.1.0", "nengo-extras==0.5.0", "numpy<2"),
    "gui": ["nengo-gui==0.6.0", "jedi>=0.18"],
    "plots": ["matplotlib>=3.5", "xarray>=2023.1"],
    # later ones need NumPy 2
    "parquet": [*where(OLD, "pyarrow>=14,<22"), *where(NEW, "pyarrow>=18")],
    "arviz": ["arviz>=0.17,<1", "xarray>=2023.1"],  # 1.0 has no InferenceData
    "torch": ["torch>=2.6"],
    "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
    "dask": ["distributed>=2023.10"],  # Client.register_plugin
    "bench": ["snntorch>=0.9", "spikingjelly>=0.0.0.0.14", "torch>=2.0"],
}
# everything that a user needs to run every feature, with a backend for Keras; the
# benchmark's competitors, which bring PyTorch along, are not a feature, and Keras 3
# can't be installed beside TensorFlow 2.12, and no more can PyTorch and ONNX
PARTS = extras_req.keys() - {"bench", "keras3", "jax", "torch", "onnx"}
extras_req["all"] = sorted(
    {req for name in PARTS for req in extras_req[name]} | {*where(NEW, *jax_req)}
)
extras_req["tests"] = [
    "black==26.10.1",
    "grimp>=3.0",
    "pytest>=7,<9",  # nengo's own pytest plugin breaks pytest 9
    "pytest-allclose>=1.0",
    "pytest-plt>=1.0",
    "pytest-rng>=1.0",
    "pytest-xdist>=3.0",
    "ruff==0.17.6",
    "selenium>=4.11,<4.17",  # 4.17 needs a newer typing_extensions than TensorFlow 2.12
    "setuptools<81",  # the tests of nengo and its backends import pkg_resources
]
extras_req["docs"] = [
    "furo>=2024.8",
    "latex2mathml>=3.77",  # pages that need no script from the net
    "numpydoc>=1.6",
    "sphinx-gallery>=0.15",
    "sphinx>=7.2,<9",  # 9 fails with the typing_extensions that TensorFlow 2.12 pins
]

setup(
    name="nengo-permadrop",
    version=VERSION,
    author="nengo-permadrop contributors",
    description="Permanent dropout in spiking neural networks, for the Nengo ecosystem",
    long_description=(ROOT / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="GPL-2.0-only",
    license_files=["LICENSE"],
    packages=find_packages(include=["nengo_permadrop", "nengo_permadrop.*"]),
    package_data={"nengo_permadrop.study": ["templates/*.j2"]},
    zip_safe=False,
    python_requires=">=3.11",
    install_requires=install_req,
    extras_require=extras_req,
    entry_points={
        "console_scripts": ["nengo-permadrop = nengo_permadrop.cli:main"],
        "nengo.backends": ["nengo_permadrop = nengo_permadrop:Simulator"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Nengo",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
