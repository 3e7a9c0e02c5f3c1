"""
What a study's numbers mean: four questions, each with an answer of its own.

Whether the two networks agree is what was tested. Whether they predict well, whether
their mean is off, and whether their uncertainty is calibrated are other questions: an
overconfident network and a useless one agree with their spiking twins, too.
"""

from nengo_permadrop.study.accuracy import (
    TRAIN_ON,
    judge_accuracy,
    judge_offset,
)
from nengo_permadrop.study.agreed import judge_agreement
from nengo_permadrop.study.calibration import judge_calibration

# Of what is bad, and of what isn't good, in this order
_ORDER = {
    "unknown": ("agreement", "accuracy"),
    "bad": ("offset", "accuracy", "agreement", "calibration"),
    "fair": ("offset", "accuracy", "calibration", "agreement"),
}
# Intervals say nothing while one of these is bad
_BEFORE_INTERVALS = ("offset", "accuracy")


def judge(study):
    """
    Judge a study.

    Parameters
    ----------
    study : `.Study`

    Returns
    -------
    judgements : {"agreement", "accuracy", "offset", "calibration": `.Judgement`}
        The first is what the study is about; it stands in the headline.
    """
    return {
        "agreement": judge_agreement(study),
        "accuracy": judge_accuracy(study),
        "offset": judge_offset(study),
        "calibration": judge_calibration(study),
    }


def next_steps(judgements):
    """
    What to do next, the first thing first.

    Predictions that are worth nothing come first, then networks that disagree, then
    intervals that are wrong; of what isn't bad, small differences come last. Where the
    predictions themselves are wrong, nothing is said of their intervals.

    Parameters
    ----------
    judgements : dict
        From `judge`.

    Returns
    -------
    steps : list of str
    """
    wrong = any(judgements[name].state == "bad" for name in _BEFORE_INTERVALS)
    steps = []
    for state, names in _ORDER.items():
        for name in names:
            if judgements[name].state != state or (wrong and name == "calibration"):
                continue
            steps += [step for step in judgements[name].steps if step not in steps]
    if judgements["calibration"].state == "bad":  # which asks why it predicts so badly
        steps = [step for step in steps if step != TRAIN_ON]
    return steps


def next_step(judgements):
    """The first of `next_steps`, or None."""
    return next(iter(next_steps(judgements)), None)
