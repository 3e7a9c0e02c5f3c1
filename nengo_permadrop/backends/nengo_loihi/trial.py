"""A trial presentation on the emulator, whose spikes are counted."""

from nengo.exceptions import ValidationError

from nengo_permadrop.targets.loihi.cores import used_by

_TRIAL_SEED = 0


def measured(problem):
    """
    What a problem's network needs of the chip, with the spikes of a trial.

    Parameters
    ----------
    problem : `.Problem`

    Returns
    -------
    resources : `.Resources`
        Without spikes if the network does not fit.
    """
    from nengo_permadrop.backends.nengo_loihi.runner import LoihiRunner

    runner = LoihiRunner(problem, validate=False)
    used = used_by(runner.loihi)
    try:
        used.check(n_chips=len(used.cores))
    except ValidationError:
        return used
    counter = _InputSpikes(runner.loihi.model.inputs)
    first = [x[0] for x in problem.X]
    with runner.simulator(first, _TRIAL_SEED, _TRIAL_SEED, target="sim") as sim:
        sim.run_steps(problem.n_steps)
        compartments = sim.sims["emulator"].compartment
        spikes = {
            block: compartments.spike_count[where].sum() / problem.n_steps
            for block, where in sim.sims["emulator"].block_info.slices.items()
        }
    return used_by(runner.loihi, spikes, counter.stop() / problem.n_steps)


class _InputSpikes:
    """Counts the spikes that go to the chip."""

    def __init__(self, inputs):
        self.inputs = list(inputs)
        self.count = 0
        for chip_input in self.inputs:
            chip_input.add_spikes = self._counted(chip_input.add_spikes)

    def _counted(self, add_spikes):
        def counted(ti, spike_idxs, permanent=False):
            self.count += len(spike_idxs)
            add_spikes(ti, spike_idxs, permanent=permanent)

        return counted

    def stop(self):
        for chip_input in self.inputs:
            del chip_input.add_spikes
        return self.count
