"""Whether the network of a study predicts well, and whether its mean is off."""

import numpy as np

from nengo_permadrop.study.answers import Judgement
from nengo_permadrop.study.errors import errors_of

# Of the targets' variance: less than these is called little, or a part
LITTLE_R2, PARTLY_R2 = 0.25, 0.5
# Of the squared error: a constant that makes so much is most of it, or is told
NEARLY_ALL, MOST, SOME = 0.9, 0.5, 0.1
# In standard deviations of the targets: a smaller constant is no fault to begin with
SMALL_OFFSET = 0.1

CHECK = (
    "See whether it predicts the rows that it was trained on. If it does, these rows "
    "or targets are other ones: check that they are centred and scaled as in training, "
    "and that each row stands beside its own target. If not, train it longer, or with "
    "other settings."
)
TRAIN_ON = (
    "Train it longer, or on more rows, unless the noise of the targets lets nothing "
    "predict them better."
)


def judge_offset(study):
    """Whether the predictions are too high or too low as a whole, a `.Judgement`."""
    question = "Are its predictions right on average?"
    found = errors_of(study)
    names = study.samples_spiking.output_names
    worst = int(np.argmax(found.offset_share * found.offset_shows))
    of = f" of {names[worst]}" if len(names) > 1 else ""
    offset, share = found.offset[worst], found.offset_share[worst]
    size, way = f"{abs(offset):.3g}", "high" if offset > 0 else "low"
    words = (
        f"Mean prediction minus mean target{of} is {offset:+.3g}, on "
        f"{len(found.y)} observations; that constant makes {_percent(share)} of the "
        "mean squared error."
    )
    if not found.offset_shows[worst] or share < SOME:
        return Judgement(question, "good", "Yes, up to chance or little more.", words)
    if share < MOST:
        answer = f"Not quite: they are {size} too {way}, not most of the error."
        return Judgement(question, "fair", answer, words)
    without = found.centred
    words += f" Without it r2 would be {without.r2:.2f}, and is {found.r2:.2f}."
    small = abs(offset) < SMALL_OFFSET * found.spread[worst]
    state = "fair" if small else "bad"
    answer = f"No, they are {size} too {way}, which is most of their error."
    if found.line() is not None or not without.better_than_mean:
        return Judgement(question, state, answer, words)  # it isn't only that
    nearly = "nearly all" if share >= NEARLY_ALL else "mostly"
    step = (
        f"The error{of} is {nearly} one constant, predictions that are about {size} "
        f"too {way}: look for a shift of the targets or of the predictions by that, "
        "such as a mean that was subtracted in training, or targets of another origin; "
        "then run the study again, as intervals around the wrong place say nothing."
    )
    if without.r2 >= PARTLY_R2:
        step += " Pairing of rows and targets, and training, are evidently fine."
    return Judgement(question, state, answer, words, (step,))


def judge_accuracy(study):
    """Whether it predicts better than the mean of the targets, a `.Judgement`."""
    question = "Does it predict better than the mean of the targets?"
    found, classical = errors_of(study), errors_of(study, "classical")
    r2 = study.r2["test"]
    if not (np.isfinite(r2) and np.isfinite(found.r2)):
        words = (
            "The targets of these rows are all the same: any network predicts them as "
            "well as their mean, or worse."
        )
        step = "Give test rows whose targets differ."
        return Judgement(question, "unknown", "That isn't known.", words, (step,))
    words = (
        "r2, which is 1 for perfect predictions and 0 for the mean, is "
        f"{found.r2:.2f} for the mean of the spiking network's draws on these "
        f"{len(found.y)} observations, {classical.r2:.2f} for the classical network's, "
        f"and {r2:.2f} for that on all {len(study.dataset.test)} test rows."
        f"{_sizes(study, found)}"
    )
    words += _classes(study)
    worst, line = min(r2, found.r2), found.line()
    if line is not None:
        words += f" Targets and predictions have a correlation of {line[2]:.2f}."
    if worst <= 0 or not found.better_than_mean:
        return Judgement(question, "bad", *_bad(study, found, worst, line, words))
    if worst >= PARTLY_R2 and line is None:
        return Judgement(question, "good", f"Yes (r2 {worst:.2f}).", words)
    answer = f"{'A little' if worst < LITTLE_R2 else 'In part'} (r2 {worst:.2f})."
    steps = (TRAIN_ON,) if line is None else (_rescaled(line),)
    return Judgement(question, "fair", answer, words, steps)


def _classes(study):
    """How often the class is right, where there are classes."""
    if study.accuracy is None:
        return ""
    share = {name: _exact_percent(each) for name, each in study.accuracy.items()}
    return (
        f" The spiking network's mean has the right class for {share['spiking']} of "
        f"them, the classical network's for {share['classical']}, and for "
        f"{share['test']} of all test rows."
    )


def _exact_percent(share):
    return f"{100 * share:.3g}%"


def _bad(study, found, worst, line, words):
    """Answer, words and steps where nothing is gained over the mean."""
    without = found.centred
    if line is None and found.offset_share.max() >= MOST and without.better_than_mean:
        return (
            "No, but without the constant by which its predictions are off it would "
            f"(r2 {without.r2:.2f}).",
            words,
        )
    answer = "No." if worst <= 0 else "Not so that these rows would show it."
    answer += " Until it does, its uncertainty says nothing."
    if line is not None:
        return answer, words, (_rescaled(line),)
    trained_here = len(study.dataset.train) > 0
    step = "Train it longer, or with other settings." if trained_here else CHECK
    return answer, words, (step,)


def _rescaled(line):
    slope, intercept, correlation = line
    if correlation < 0:
        return (
            f"Predictions fall where targets rise (correlation {correlation:.2f}): "
            "look for a sign, or an order, that was turned round."
        )
    sign = "-" if intercept < 0 else "+"
    return (
        f"Predictions follow the targets (correlation {correlation:.2f}), in other "
        f"units: {slope:.3g} times the prediction {sign} {abs(intercept):.3g} is about "
        "the target. Look for targets that were scaled or centred for the training, "
        "and give them as they were there, or rows that weren't and should be."
    )


def _percent(share):
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


def _sizes(study, found):
    """Sizes of the errors in units, of three outputs at the most."""
    names = study.samples_spiking.output_names
    sizes = []
    for name, rms, spread in list(zip(names, found.rms, found.spread))[:3]:
        of = f" of {name}" if len(names) > 1 else ""
        sizes.append(
            f" Its error{of} is {rms:.3g} (root mean square), the targets' standard "
            f"deviation {spread:.3g}."
        )
    return "".join(sizes)
