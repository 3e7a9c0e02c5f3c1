"""Is the dropout of a deployed model alive?"""

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.samples.samples import MASKS, PredictiveSamples
from nengo_permadrop.sampling.audit import statistics
from nengo_permadrop.sampling.audit.asking import WAYS, draws_of, way_of
from nengo_permadrop.sampling.audit.causes import NO_NODES, cause_of
from nengo_permadrop.sampling.audit.elsewhere import answers_elsewhere
from nengo_permadrop.sampling.audit.given import (
    draws_of_reference,
    reference_values,
    some_rows,
    told_of,
)
from nengo_permadrop.sampling.audit.opening import subject_of
from nengo_permadrop.sampling.audit.result import TESTS, Audit, Finding
from nengo_permadrop.sampling.audit.subjects import n_rows
from nengo_permadrop.sampling.sampler import sample
from nengo_permadrop.support.validation import (
    check_choice,
    check_integer,
    check_number,
    check_seed,
)
from nengo_permadrop.version import version

_COMPARED = 20  # draws of other sessions and processes


def audit(
    model,
    X,
    reference=None,
    n_draws=100,
    *,
    trust=False,
    masks="observation",
    processes=True,
    alpha=0.001,
    seed=0,
):
    """
    Test whether the dropout of a deployed model is alive.

    Dropout is lost on nearly every way from training to where a model runs, and nothing
    is raised. So the model is asked, as those who deploy it ask it, and its answers are
    tested: whether draws differ at all; whether they repeat, between calls, sessions
    and processes; whether rows of a batch share masks; and whether they are of the
    distribution that they should be of.

    Parameters
    ----------
    model : object
        A Keras model (``predict`` is asked) or file of one (``.h5``, ``.keras``); a
        SavedModel folder; an ONNX file, run by ONNX Runtime with its defaults; a
        ``.pt2`` file; a LiteRT file (``.tflite``); OpenVINO's IR (``.xml``); a
        `torch.nn.Module`, in the mode that it is in; or a function of ``X`` that
        returns answers. The first output is tested.
    X : array_like, list of array_like or dict
        Observations, on which the model's answers should vary. Of more than 50, 50 that
        are evenly spaced are used; with one alone, repeats and shared masks are seen
        less well.
    reference : object, optional
        What the distribution should be: `.PredictiveSamples` or an array ``(n_draws,
        n_observations, n_outputs)`` for the same ``X``; or the model that it came from,
        all of whose dropouts are then on, or a function. By default it is what the
        model's own file says, with its rates, where `.sample` can draw from that with
        dropout surely on.
    n_draws : int, optional
        How often the model is asked; at least 20.
    trust : bool, optional
        Load the file whatever code that runs. Without it, files that may run code, such
        as SavedModel folders and ``.pt2`` files, are refused.
    masks : {"observation", "draw"}, optional
        Whether rows have masks of their own, or all rows of a call the same.
    processes : bool, optional
        Also open a file in two other processes, which takes as long as what runs it
        takes to start.
    alpha : float, optional
        Probability, at most, that something is found in a healthy model. Each of the
        six tests has a sixth of it.
    seed : int, optional
        Of the tests and the reference; the model's draws are its own.

    Returns
    -------
    audit : `.Audit`
        True if nothing is wrong; ``audit.findings`` say what is, how sure that is, what
        it usually comes from, and the fix; ``audit.not_tested`` what could not be
        tested, and why.

    Raises
    ------
    nengo.exceptions.ValidationError
        If the model is of no known kind, can't be run or isn't trusted; or an argument
        is out of range.
    FileNotFoundError
        If there is no such file.
    ImportError
        If what runs the file isn't installed.

    Examples
    --------
    >>> import numpy as np, nengo_permadrop as npd
    >>> audit = npd.audit(lambda x: x.sum(axis=1), np.ones((5, 3)))
    >>> audit.ok, audit.findings[0].what
    (False, 'all 100 draws are the same, for each of 5 rows')
    """
    n_draws = check_integer(n_draws, "n_draws", _COMPARED)
    alpha = check_number(alpha, "alpha", 0, 1, low_open=True, high_open=True)
    check_choice(masks, "masks", MASKS)
    seed = check_seed(seed)
    X, rows = some_rows(X)
    given = reference_values(reference, rows)
    work = _Work(subject_of(model, trust), X, n_draws, alpha / len(TESTS), seed, trust)
    work.draw()
    if work.test_differ():
        work.test_calls()
        work.test_sessions()
        work.test_processes(processes)
        work.test_rows(masks == MASKS[1])
        work.test_reference(reference if given is None else given)
    return Audit(
        subject=work.subject.title,
        findings=work.findings,
        pvalues=work.pvalues,
        not_tested=work.not_tested,
        alpha=alpha,
        level=work.level,
        samples=PredictiveSamples(
            work.draws,
            backend="function",
            seed=seed,
            masks=masks,
            meta={"version": version, "audited": work.subject.title},
        ),
    )


class _Work:
    """The tests of one model, one after the other."""

    def __init__(self, subject, X, n_draws, level, seed, trust):
        self.subject, self.X, self.n_draws = subject, X, n_draws
        self.level, self.trust = level, trust
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.findings, self.pvalues, self.not_tested = [], {}, {}
        self.shared = False
        self.way = self.draws = self.copies = None

    def draw(self):
        """Ask the model."""
        session = self.subject.session()
        self.way = way_of(session, self.X)
        if self.subject.many:  # one that has drawn nothing yet
            session = self.subject.session()
        self.session = session
        draws = draws_of(session, self.X, self.way, self.n_draws)
        self.draws, self.copies = draws, None
        if self.way == WAYS[0]:
            self.draws, self.copies = np.split(draws, 2, axis=1)
        self.whole = statistics.rounded(draws)

    def found(self, test, what, sure, pvalue=None, cause=None):
        """Note a fault."""
        cause, fix = cause or cause_of(self.subject.kind, test)
        self.findings.append(Finding(test, what, sure, cause, fix, pvalue))

    def by_pvalue(self, test, pvalue, what):
        """Note a test, and a fault if its p-value is small; whether there is one."""
        self.pvalues[test] = pvalue
        if pvalue > self.level:
            return False
        sure = (
            f"p = {pvalue:.2g}; so little, or less, has a healthy model with a "
            f"probability of at most {self.level:.2g}"
        )
        self.found(test, what, sure, pvalue)
        return True

    def test_differ(self):
        """Whether draws differ at all."""
        n_passes = self.n_draws * self.whole.shape[1]
        if not statistics.same(self.whole, self.whole[:1]).all():
            return True
        rate = statistics.unnoticed_rate(self.level, n_passes)
        where = n_rows(self.X)
        self.found(
            "differ",
            f"all {self.n_draws} draws are the same, for each of {where} rows",
            f"dropout that changes an answer in more than {rate:.2g} of all passes "
            f"would have shown in these {n_passes}, but for a probability of "
            f"{self.level:.2g}",
            cause=self._why_dead(),
        )
        reason = "all draws are the same"
        self.not_tested = {name: reason for name in TESTS if name != "differ"}
        return False

    def _why_dead(self):
        """What is known of this model beyond what its kind says."""
        for way, ask in self.subject.other_ways().items():
            draws = draws_of(ask, self.X, WAYS[1], _COMPARED)
            whole = statistics.rounded(draws)
            if not statistics.same(whole, whole[:1]).all():
                cause, fix = cause_of(self.subject.kind, "differ")
                return f"{cause} (asked as {way}, its draws do differ)", fix
        if self.subject.kind == "onnx" and self._own_reference()[0] is None:
            return NO_NODES
        return None

    def test_calls(self):
        """Whether draws of a session repeat."""
        if self.whole.shape[1] < 2:
            self.not_tested["calls"] = (
                "of one row alone, draws may be the same by chance; give more rows"
            )
            return
        shared = self._move_together()
        if shared:
            self.not_tested["calls"] = (
                "rows share masks, so that repeats can't be told from chance"
            )
            return
        pairs = statistics.repeated_pairs(self.whole)
        pvalue = statistics.repeats_pvalue(self.whole, len(pairs), self.rng)
        example = ""
        if len(pairs):
            a, b = pairs[0] + 1
            example = f", such as the draws {a} and {b}"
        self.by_pvalue(
            "calls",
            pvalue,
            f"{len(pairs)} pairs of {self.n_draws} draws are the same in all rows"
            f"{example}",
        )

    def _move_together(self):
        """Whether answers at two places of a batch do, at the level of a test."""
        if self.copies is None:
            return False
        rng = np.random.default_rng([self.seed, 1])
        pvalue, _ = statistics.sharing_pvalue(self.draws, self.copies, rng)
        return pvalue <= self.level

    def test_sessions(self):
        """Whether another session replays the draws of the first."""
        if not self.subject.many:
            self.not_tested["sessions"] = "what is in memory has one session"
            return
        n = min(_COMPARED, self.n_draws)
        other = draws_of(self.subject.session(), self.X, self.way, n)
        first = self.draws[:n]
        if self.copies is not None:
            first = np.concatenate([first, self.copies[:n]], axis=1)
        self._replayed("sessions", first, other, "a new session", "the first one")

    def test_processes(self, wanted):
        """Whether processes replay each other's draws."""
        if not wanted:
            self.not_tested["processes"] = "it was said not to"
            return
        if not self.subject.elsewhere:
            self.not_tested["processes"] = (
                "only a file can be opened by other processes"
            )
            return
        n = min(_COMPARED, self.n_draws)
        try:
            first, second = answers_elsewhere(
                self.subject.model, self.X, self.way, n, self.trust
            )
        except (RuntimeError, OSError) as error:
            self.not_tested["processes"] = f"another process failed: {error}"
            return
        self._replayed("processes", first, second, "a new process", "another one")

    def _replayed(self, test, first, second, new, old):
        pvalue, n_same = statistics.replay_pvalue(first, second)
        self.by_pvalue(
            test,
            pvalue,
            f"{n_same} of the first {len(first)} draws of {new} are those of {old}, "
            "number by number",
        )

    def test_rows(self, expected):
        """Whether rows of a batch share masks."""
        if self.copies is None:
            self.not_tested["rows"] = (
                "it takes no batch of twice as many rows"
                if self.way == WAYS[1]
                else "it takes one row at a time"
            )
            return
        rng = np.random.default_rng([self.seed, 1])
        pvalue, correlation = statistics.sharing_pvalue(self.draws, self.copies, rng)
        self.shared = pvalue <= self.level
        if expected:
            self.not_tested["rows"] = "shared masks are what was expected"
            return
        self.by_pvalue(
            "rows",
            pvalue,
            "equal rows of a batch move together from draw to draw (rank correlation "
            f"{correlation:.2f}): they share masks",
        )

    def test_reference(self, reference):
        """Whether the distribution is that of a reference."""
        if reference is None:
            values, reason = self._own_reference()
            name = "what its own rates give"
        elif isinstance(reference, np.ndarray):
            values, reason, name = reference, None, "the reference"
        else:
            values, name = draws_of_reference(
                reference, self.X, self.n_draws, self.seed
            )
            reason = None
        if values is None:
            self.not_tested["reference"] = reason
            return
        if values.shape[1:] != self.draws.shape[1:]:
            raise ValidationError(
                f"the reference has {values.shape[1:]} (observations, outputs), the "
                f"model {self.draws.shape[1:]}",
                attr="reference",
            )
        pvalues = statistics.reference_pvalues(
            self.draws, values, not self.shared, self.rng
        )
        least = min(pvalues, key=pvalues.get)
        spreads = self.draws.std(axis=0).mean(), values.std(axis=0).mean()
        self.by_pvalue(
            "reference",
            min(1.0, len(pvalues) * pvalues[least]),
            f"the distribution isn't that of {name}: it differs in its {least}; the "
            f"standard deviations are {spreads[0]:.3g}, and should be "
            f"{spreads[1]:.3g}, in the mean",
        )

    def _own_reference(self):
        """Draws with dropout surely on, by the model's own file; or None, and why."""
        backend = self.subject.backend
        if backend is None:
            return None, "there is none; give reference="
        model = self.subject.model
        try:
            samples = sample(
                model,
                self.X,
                self.n_draws,
                backend=backend,
                dropout=told_of(model),
                seed=self.seed,
                progress=False,
            )
        except (ConversionError, ValidationError, ImportError) as error:
            return None, f"none could be drawn ({error})"
        return samples.values, None
