"""The rooms of the package: who imports whom, and how large things are."""

import ast
import re
from pathlib import Path

import grimp
import pytest

import nengo_permadrop as npd

ROOT = Path(__file__).parents[1]
PACKAGE = Path(npd.__file__).parent
NAME = "nengo_permadrop"

# From top to bottom: a room imports only from those below it.
ROOMS = (
    "cli",
    "study",
    "accounting",
    "combo",
    "bench",
    "sampling",
    "execution",
    "backends",
    "calibration",
    "training",
    "live",
    "dl",
    "converter",
    "batched",
    "sources",
    "targets",
    "metrics",
    "samples",
    "dropout",
    "neurons",
    "graph",
    "datasets",
    "support",
)
# What stands beside the rooms: public faces and what any of them may be used by.
LOOSE = {"__main__", "keras_layers", "models", "plots", "testing", "torch_layers"}
LOOSE |= {"version"}

MOST_LINES_OF_A_FILE = 450
MOST_LINES_OF_A_FUNCTION = 80  # its docstring not counted


@pytest.fixture(name="imports", scope="module")
def _imports():
    """All (importer, imported) pairs of the package's modules."""
    graph = grimp.build_graph(NAME, cache_dir=None)
    return {
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    }


def room(module):
    """The room of a module; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def test_every_module_is_in_a_room():
    found = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert found == {*ROOMS, *LOOSE, "__init__"}


def test_no_room_imports_upward(imports):
    place = {name: number for number, name in enumerate(ROOMS)}
    upward = {
        (importer, imported)
        for importer, imported in imports
        if room(importer) in place
        and room(imported) in place
        and place[room(importer)] > place[room(imported)]
    }
    assert not upward


def test_rooms_do_not_import_the_package_itself(imports):
    """Through its top level a module could reach any other."""
    assert not {importer for importer, imported in imports if imported == NAME}


def test_only_what_is_above_imports_what_stands_beside(imports):
    beside = {
        (room(importer), room(imported))
        for importer, imported in imports
        if room(imported) in LOOSE - {"version"} and room(importer) != room(imported)
    }
    assert beside <= {("study", "plots"), ("cli", "plots")}


def test_no_circle(imports):
    """Modules can be imported in some order in which each finds the others whole."""
    below = {}
    for importer, imported in imports:
        # a package's __init__.py hands on names of its modules
        below.setdefault(importer, set()).add(imported)
    done, path = set(), []

    def visit(module):
        assert module not in path, path[path.index(module) :]
        if module in done:
            return
        path.append(module)
        for imported in sorted(below.get(module, ())):
            visit(imported)
        path.pop()
        done.add(module)

    for module in sorted(below):
        visit(module)


def test_every_room_says_what_is_in_it():
    for path in PACKAGE.rglob("__init__.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring and len(docstring.split()) > 4, path


def test_reference_lists_the_rooms():
    reference = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    listed = re.findall(rf"^   {NAME}\.(\w+)$", reference, flags=re.MULTILINE)
    assert listed == [*ROOMS[1:], "plots", "testing"]  # commands have --help


def lines_without_docstring(function):
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_files_and_functions_are_short():
    long = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MOST_LINES_OF_A_FILE:
            long.append(f"{path.name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if lines_without_docstring(node) > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{path.name}: {node.name}")
    assert not long


def compared_words(tree):
    """Constant strings that something is compared with, or looked for among."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_no_name_of_a_target_or_backend_decides():
    """Targets and backends are asked; nothing compares their names."""
    names = {"loihi", "nengo_loihi", "nengo_dl", "batched"}
    for path in PACKAGE.rglob("*.py"):
        where = path.relative_to(PACKAGE).parts
        if where[:2] in (("targets", "loihi"), ("backends", "nengo_loihi")):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not names & set(compared_words(tree)), path


# how Keras calls what a layer is and has
KERAS_WORDS = re.compile(
    r"class_name|get_config|\bkernel\b|moving_mean|moving_variance|\bkeras\b", re.I
)


@pytest.mark.parametrize("name", ["graph", "converter", "accounting"])
def test_rooms_past_the_sources_know_no_keras(name):
    for path in (PACKAGE / name).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(
                node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            )
            and ast.get_docstring(node) is not None
        }
        for node in ast.walk(tree):
            words = [getattr(node, "id", ""), getattr(node, "attr", "")]
            words += [getattr(node, "arg", "") or "", getattr(node, "module", "") or ""]
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words += [] if id(node) in docstrings else [node.value]
            found = [word for word in words if KERAS_WORDS.search(str(word))]
            assert not found, (path, found)
