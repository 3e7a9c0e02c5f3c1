"""What a study answers with, and the commands that it advises."""

import shlex
import textwrap
from pathlib import Path
from typing import NamedTuple

GUIDE = "docs/disagrees.rst, 'My network disagrees: what now?', has more."
_STUDY = "nengo-permadrop study"
# Options of the command that another one replaces, and how many values each takes
_REPLACED = {
    "-o": {"-o": 1, "--output": 1, "--overwrite": 0},
    "--n-draws": {"-n": 1, "--n-draws": 1, "--draws": 1},
    "--anneal": {"--anneal": 1},
    # which it chooses itself
    "--tune": {
        "--calibrate": 0,
        "--presentation-time": 1,
        "--settle": 1,
        "--synapse": 1,
    },
}


class Judgement(NamedTuple):
    """
    An answer.

    Attributes
    ----------
    question : str
        What was asked.
    state : {"good", "fair", "bad", "unknown"}
    answer : str
        In a few words.
    words : str
        The numbers that it rests on.
    steps : tuple of str
        What to do now, if anything: the first one first.
    """

    question: str
    state: str
    answer: str
    words: str
    steps: tuple = ()


def predicting(study):
    """How rows are predicted with recalibrated intervals: what can be pasted."""
    return f"`{_predicting(study)}`"


def _predicting(study):
    folder, preparation = study.folder, study.dataset.preparation
    if folder is None or preparation is None:
        return "study.recalibration.apply(samples)"
    if study.command.startswith("nengo-permadrop "):
        return f"nengo-permadrop predict {shlex.quote(folder)} rows.csv"
    return f'nengo_permadrop.predict("{folder}", new_rows)'


def again(study, option, argument, suffix):
    """
    How the study is run once more, with another option, into a folder of its own.

    Parameters
    ----------
    study : `.Study`
    option : str
        Of the command, with its value.
    argument : str
        The same in Python.
    suffix : str
        Of the folder's name.

    Returns
    -------
    command : str
        In backticks: to be pasted; of a study from Python, what to add to the call.
    """
    folder = None if study.folder is None else f"{study.folder}-{suffix}"
    if not study.command.startswith(_STUDY):
        output = "" if folder is None else f', output="{folder}"'
        return f"`npd.study(..., {argument}{output})`"
    words = shlex.split(study.command)
    for name in (option.split()[0], "-o"):
        words = _without(words, _REPLACED[name])
    words += [*option.split(), "-o", folder or f"study-{suffix}"]
    return f"`{shlex.join(words)}`"


def in_lines(step, width=79, indent="  "):
    """
    A step as lines of text, its commands whole and each on a line of its own.

    Parameters
    ----------
    step : str
        With commands in backticks.
    width : int, optional
        Of the other lines, at the most.
    indent : str, optional
        Before each line; commands are further in.

    Returns
    -------
    lines : list of str
    """
    lines = []
    for i, part in enumerate(step.split("`")):
        part = part.strip(" .") if i % 2 == 0 and i else part.strip()
        if i % 2:
            lines.append(f"{indent}  {part}")
        elif part:
            whole = f"{part}." if i else part
            lines += textwrap.wrap(
                whole, width, initial_indent=indent, subsequent_indent=indent
            )
    return lines


def _without(words, options):
    """A command line without some options and their values."""
    left, skipped = [], 0
    for word in words:
        name, equals, _ = word.partition("=")
        if skipped:
            skipped -= 1
        elif name in options:
            skipped = 0 if equals else options[name]
        else:
            left.append(word)
    return left


def model_and_data(study):
    """What a study is of: the model's name or file, and its rows."""
    model = study.options.get("model")
    name = "the network trained here" if model is None else Path(str(model)).name
    return f"{name}, on {study.dataset.name}"
