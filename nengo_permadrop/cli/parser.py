"""A parser whose errors are one line that says what to write instead."""

import argparse
import difflib


class OneLineParser(argparse.ArgumentParser):
    """
    As `argparse.ArgumentParser`, with errors of one line, without the usage.

    What isn't known is named together with what was probably meant.
    """

    def error(self, message):
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {message} ('{self.prog} --help' lists all)\n")

    def parse_args(self, args=None, namespace=None):
        """Parse all arguments; unknown ones are an error of their command."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            getattr(found, "parser", self).refuse(unknown)
        return found

    def refuse(self, unknown):
        """Exit, as an argument isn't known."""
        first = unknown[0]
        if not first.startswith("-"):
            self.error(f"there is no place for {first!r}")
        name = first.partition("=")[0]
        known = [text for action in self._actions for text in action.option_strings]
        self.error(f"there is no option {name}{_hint(name, known)}")

    def _check_value(self, action, value):
        if action.choices is None or value in action.choices:
            return
        choices = [str(each) for each in action.choices]
        hint = _hint(str(value), choices) or f"; choose from {', '.join(choices)}"
        raise argparse.ArgumentError(action, f"there is no {value!r}{hint}")


def _hint(name, known):
    near = difflib.get_close_matches(name, known, n=1)
    return f"; is it {near[0]}?" if near else ""
