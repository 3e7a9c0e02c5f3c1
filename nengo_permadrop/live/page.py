"""Showing a Node's picture when Nengo GUI opens a script."""

import inspect
import re
import sys
from pathlib import Path

PREFIX = "_viz_distribution_view_"  # of the variables that hold the GUI's components
# Where the pictures are put, in parts of the window: beside each other, at the bottom
WIDTH, HEIGHT = 0.15, 0.2  # from the middle to a side
PLACES = ((0.82, 0.77), (0.5, 0.77), (0.18, 0.77))


def show_in_gui(node):
    """
    Have Nengo GUI show the HTML of a Node, if a script makes it that the GUI opens.

    The GUI runs a script with variables of its own, and shows each of its components
    that is in a variable afterwards. So this makes such a variable, as a line in the
    script's ``.cfg`` file does. That file still decides where it says something: it is
    run later, and its line takes the place of this one. If the file shows the HTML of
    other ``view`` Nodes in variables of its own, nothing is shown but that.

    Parameters
    ----------
    node : `nengo.Node`
        Its function has ``_nengo_html_``.

    Returns
    -------
    name : str or None
        The variable's name; None outside of Nengo GUI.
    """
    variables = _script_variables()
    if variables is None or _is_laid_out(variables["__page__"].filename_cfg):
        return None
    number = sum(name.startswith(PREFIX) for name in variables)
    name = f"{PREFIX}{number}"
    variables[name] = _component(node, PLACES[number % len(PLACES)])
    return name


def _script_variables():
    """Those of the script that Nengo GUI runs in this thread, or None."""
    if "nengo_gui" not in sys.modules:
        return None
    from nengo_gui.page import Page

    frame = inspect.currentframe()
    try:
        while frame is not None:
            if isinstance(frame.f_globals.get("__page__"), Page):
                return frame.f_globals
            frame = frame.f_back
    finally:
        del frame  # of a cycle with its own variables
    return None


def _is_laid_out(filename):
    """Whether a .cfg file, if there is one, shows views in variables of its own."""
    if filename is None or not Path(filename).is_file():
        return False
    text = Path(filename).read_text(encoding="utf-8", errors="replace")
    names = re.findall(r"^(\w+) *= *.*\bHTMLView\(.*\bview\)", text, re.MULTILINE)
    return any(not name.startswith(PREFIX) for name in names)


def _component(node, place):
    """An HTMLView of Nengo GUI that has a place of its own, before it is moved."""
    from nengo_gui import components

    class HTMLView(components.HTMLView):
        # What is moved in the GUI is saved in a .cfg file under the name of the class;
        # when the file is read, a plain HTMLView with the saved place is made of it.
        def attach(self, page, config, uid):
            super().attach(page, config, uid)
            config.x, config.y = place
            config.width, config.height = WIDTH, HEIGHT
            config.label_visible = False  # the picture has a title

    return HTMLView(node)
