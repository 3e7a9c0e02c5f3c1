"""What an audit found."""

from dataclasses import dataclass, field
from typing import Any

TESTS = {
    "differ": "do draws differ at all",
    "calls": "do draws repeat between calls",
    "sessions": "does another session replay the draws",
    "processes": "does another process replay the draws",
    "rows": "are masks shared between rows",
    "reference": "is the distribution that of the reference",
}


@dataclass(frozen=True)
class Finding:
    """
    Something that is wrong with a model's dropout.

    Attributes
    ----------
    test : str
        The test that found it, a key of `TESTS`.
    what : str
        What is so.
    sure : str
        How sure that is: what the test would have said of a healthy model.
    cause : str
        What it usually comes from.
    fix : str
    pvalue : float or None
        Of the test; None where what was seen has no other explanation.
    """

    test: str
    what: str
    sure: str
    cause: str
    fix: str
    pvalue: float | None = None

    def __str__(self):
        return (
            f"{self.what}\n  how sure: {self.sure}\n  likely cause: {self.cause}\n"
            f"  fix: {self.fix}"
        )


@dataclass(frozen=True, eq=False)
class Audit:
    """
    What an audit found; true if nothing is wrong.

    Attributes
    ----------
    subject : str
        What was asked, and by what it was run.
    findings : list of `Finding`
        What is wrong.
    pvalues : {str: float}
        Of the tests that were made, by their names, the keys of `TESTS`.
    not_tested : {str: str}
        Why other tests were not made.
    alpha : float
        Probability, at most, that something is found in a healthy model: the sum of the
        levels of all tests.
    level : float
        That of each test.
    samples : `.PredictiveSamples`
        What the model answered.
    """

    subject: str
    findings: list
    pvalues: dict
    not_tested: dict
    alpha: float
    level: float
    samples: Any = field(repr=False)

    @property
    def ok(self):
        """Whether nothing is wrong, as far as it was tested."""
        return not self.findings

    def __bool__(self):
        return self.ok

    def to_dict(self):
        """
        All but the samples, of plain Python types.

        Returns
        -------
        found : dict
        """
        return {
            "ok": self.ok,
            "subject": self.subject,
            "findings": [vars(each) for each in self.findings],
            "tests": {
                name: {"question": question, **self._outcome(name)}
                for name, question in TESTS.items()
            },
            "alpha": self.alpha,
            "level": self.level,
            "n_draws": self.samples.n_draws,
            "n_observations": self.samples.values.shape[1],
        }

    def _outcome(self, name):
        if name in self.not_tested:
            return {"tested": False, "reason": self.not_tested[name]}
        found = any(each.test == name for each in self.findings)
        return {"tested": True, "found": found, "pvalue": self.pvalues.get(name)}

    def __str__(self):
        found = len(self.findings)
        head = (
            "its dropout is alive"
            if self.ok
            else f"{found} fault{'' if found == 1 else 's'} found"
        )
        lines = [f"{self.subject}: {head}", ""]
        for name, question in TESTS.items():
            outcome = self._outcome(name)
            if not outcome["tested"]:
                words = f"not tested: {outcome['reason']}"
            else:
                pvalue = outcome["pvalue"]
                words = "WRONG" if outcome["found"] else "good"
                words += "" if pvalue is None else f" (p = {pvalue:.2g})"
            lines.append(f"{question + '?':<44}{words}")
        for each in self.findings:
            lines += ["", str(each)]
        lines += [
            "",
            f"Each test has the level {self.level:.2g}: of a healthy model something "
            f"is said to be wrong with a probability of at most {self.alpha:g}.",
        ]
        return "\n".join(lines)
