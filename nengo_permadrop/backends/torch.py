"""
The classical answer of a PyTorch module: its own forward pass, with masks of ours.

Dropouts are found where they are called, not by the types of modules, and each is given
a mask instead of drawing one; see `.torch_dropouts`.
"""

import contextlib
import inspect
import threading

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.backends.base import (
    NO_DROPOUT,
    Backend,
    Problem,
    output_name,
    register_backend,
)
from nengo_permadrop.backends.observations import DrawnMasks, check_told, given_inputs
from nengo_permadrop.sources.registry import opened
from nengo_permadrop.support.optional import require

_STREAM = 0x746F726368
_running = threading.RLock()  # modules' modes are changed while they run
_MOST_VALUES = 2**22  # of dropouts' inputs, alive in a chunk


@register_backend
class TorchBackend(Backend):
    """
    A module in evaluation mode whose dropouts drop, with masks of each replica's own.

    Modes, running statistics and PyTorch's global generators are left as they were.
    """

    name = "torch"
    takes = "model"

    def version(self):
        return f"PyTorch {require('torch').__version__}"

    def opened(self, model):
        return opened(model)

    def content(self, model):
        model = runnable(model)
        kinds = sorted({type(each) for each in model.modules()}, key=repr)
        state = {
            name: x.detach().cpu().numpy() for name, x in model.state_dict().items()
        }
        return [kinds, repr(model), getattr(model, "code", None), state]

    def problem(self, model, X, output, dropout, settings):
        module = runnable(model)
        told = check_told(dropout)
        arrays, shapes, types = given_inputs(X, _input_names(module))
        integers = _takes_integers(module)
        found = {
            **settings.get("options", {}),
            "dropout": told,
            "integers": [n for n in shapes if integers and types[n].startswith("int")],
            "together": True,
        }
        settings["options"] = found
        problem = Problem(module, list(shapes), None, arrays, shapes, **settings)
        probed = probe(problem)
        if not probed.rates:
            raise ValidationError(_no_dropout(module, told), attr="model")
        found.update(together=probed.together, values=probed.values)
        output = output_name(output, {name: name for name in probed.outputs})
        return Problem(module, list(shapes), output, arrays, shapes, **settings)

    def chunk_size(self, problem, max_memory=None, session=None):
        values = max(1, problem.options["values"])
        if max_memory is None:
            return int(np.clip(_MOST_VALUES // values, 1, 1000))
        # each dropout's input and output, its mask in double and as it is used
        return max(1, int(max_memory // (4 * 8 * values)))

    @contextlib.contextmanager
    def session(self, problem):
        def answer(replicas):
            if problem.options["together"]:
                return run_module(problem, replicas.inputs, replicas.mask_seeds)
            parts = [replicas[i : i + 1] for i in range(len(replicas))]
            answers = [
                run_module(problem, part.inputs, part.mask_seeds) for part in parts
            ]
            return np.concatenate(answers)

        yield answer


class Probed:
    """
    What a module was seen to do.

    Attributes
    ----------
    rates : list of float
        Of the dropouts, in the order in which they were called.
    together : bool
        Whether the first axis of all that is dropped is that of the rows.
    values : int
        Units of all dropouts together, of a row.
    outputs : list of str
    """

    def __init__(self, dropouts, together, outputs, n):
        self.rates = [call.rate for call in dropouts.calls]
        self.together = together
        self.values = sum(call.size for call in dropouts.calls) // n
        self.outputs = outputs


def probe(problem):
    """
    Run a module for a few rows, and see which dropouts it calls.

    Parameters
    ----------
    problem : `.Problem`

    Returns
    -------
    probed : `Probed`

    Raises
    ------
    nengo.exceptions.ValidationError
        If it draws random numbers in other ways than by dropout.
    """
    found = {}
    for n in (2, 3):
        rows = np.resize(np.arange(len(problem.X[0])), n)
        try:
            found[n] = _run(problem, [x[rows] for x in problem.X], np.arange(n))
        except ValidationError:
            raise
        except Exception:  # of a program that was exported for batches of one
            found.clear()
            break
    together = bool(found) and all(
        all(call.shape[0] == n for call in dropouts.calls)
        and all(len(x) == n for x in outputs.values())
        for n, (outputs, dropouts) in found.items()
    )
    if not together:
        found = {1: _run(problem, [x[:1] for x in problem.X], np.arange(1))}
    n, (outputs, dropouts) = next(iter(found.items()))
    return Probed(dropouts, together, list(outputs), n)


def run_module(problem, inputs, mask_seeds):
    """
    Answers of a module.

    Parameters
    ----------
    problem : `.Problem`
    inputs : list of (n, size) ndarray
    mask_seeds : (n,) ndarray of int

    Returns
    -------
    answers : (n, n_outputs) ndarray
    """
    outputs, _ = _run(problem, inputs, mask_seeds)
    answers = outputs[problem.output]
    if len(answers) != len(mask_seeds):
        raise ValidationError(
            f"output {problem.output!r} of {type(problem.model).__name__} has the "
            f"shape {answers.shape} for {len(mask_seeds)} observations; its first axis "
            "must be that of the observations",
            attr="model",
        )
    return answers.reshape(len(answers), -1)


def _run(problem, inputs, mask_seeds):
    """All outputs by name, and the dropouts that were called."""
    from nengo_permadrop.backends.torch_dropouts import GivenDropouts

    torch = require("torch")
    module, options = problem.model, problem.options
    device, dtype = _device(module), _dtype(module)
    tensors = {}
    for name, x in zip(problem.inputs, inputs):
        kind = torch.int64 if name in options["integers"] else dtype
        rows = x.reshape(len(x), *problem.shapes[name])
        tensors[name] = torch.as_tensor(rows).to(device=device, dtype=kind)
    arguments = ((), tensors)
    if list(tensors) == _input_names(module)[: len(tensors)]:
        arguments = (tensors.values(), {})  # exported programs take no others
    masks = DrawnMasks(mask_seeds, _STREAM)
    dropouts = GivenDropouts(masks, options["dropout"])
    cuda = [device] if device.type == "cuda" else []
    with _running, _evaluated(module), torch.random.fork_rng(cuda), torch.no_grad():
        before = torch.get_rng_state()
        with dropouts:
            returned = module(*arguments[0], **arguments[1])
        if not torch.equal(before, torch.get_rng_state()):
            raise ValidationError(
                f"{type(module).__name__} draws random numbers in another way than by "
                "PyTorch's dropout, which can't be seeded for each draw; use "
                "backend='function'",
                attr="model",
            )
    return _named(returned), dropouts


@contextlib.contextmanager
def _evaluated(module):
    """A module in evaluation mode, without the shortcuts that pass dropout by."""
    torch = require("torch")
    modes = {each: each.training for each in module.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    stance = getattr(torch.compiler, "set_stance", contextlib.nullcontext)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        for each in modes:
            each.training = False
        with stance("force_eager"):  # or what is compiled would pass our masks by
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for each, training in modes.items():
            each.training = training


def runnable(model):
    """
    A module, of a module or an exported program.

    Parameters
    ----------
    model : `torch.nn.Module` or `torch.export.ExportedProgram`

    Returns
    -------
    module : `torch.nn.Module`

    Raises
    ------
    nengo.exceptions.ValidationError
        If it is something else, or holds what our masks don't reach.
    """
    torch = require("torch")
    if isinstance(model, torch.export.ExportedProgram):
        return model.module()
    if not isinstance(model, torch.nn.Module):
        raise ValidationError(
            f"backend 'torch' takes a torch.nn.Module or an ExportedProgram, got "
            f"{type(model).__name__}",
            attr="model",
        )
    for path, each in model.named_modules():
        where = f"'{path}' ({type(each).__name__})" if path else type(each).__name__
        if isinstance(each, torch.jit.ScriptModule) and "dropout" in _code(each):
            raise ValidationError(
                f"{where} is TorchScript, whose dropouts can't be given masks: PyTorch "
                "would leave them off in evaluation mode. Give the module that it was "
                "made from, or sample it with backend='function'",
                attr="model",
            )
        if isinstance(each, torch.nn.RNNBase) and each.dropout and each.num_layers > 1:
            raise ValidationError(
                f"{where} drops between its layers inside of PyTorch's kernel, where "
                "it can't be given masks; make it of single layers with Dropout "
                "modules between them, or use backend='function'",
                attr="model",
            )
    return model


def _code(scripted):
    try:
        return str(scripted.inlined_graph)
    except (AttributeError, RuntimeError):  # a container without a forward pass
        return ""


def _input_names(module):
    forward = inspect.signature(module.forward).parameters.values()
    names = [each.name for each in forward if each.kind is each.POSITIONAL_OR_KEYWORD]
    if not names:
        raise ValidationError(
            f"{type(module).__name__}.forward must name its inputs; it takes "
            f"{inspect.signature(module.forward)}",
            attr="model",
        )
    return names


def _takes_integers(module):
    torch = require("torch")
    kinds = torch.nn.Embedding, torch.nn.EmbeddingBag
    return any(isinstance(each, kinds) for each in module.modules())


def _device(module):
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else require("torch").device("cpu")


def _dtype(module):
    tensors = [*module.parameters(), *module.buffers()]
    floating = [x.dtype for x in tensors if x.is_floating_point()]
    return floating[0] if floating else require("torch").float32


def _named(returned):
    """Outputs by name, as arrays."""
    if isinstance(returned, dict):
        found = {str(name): x for name, x in returned.items()}
    elif isinstance(returned, (tuple, list)):
        found = {str(number): x for number, x in enumerate(returned)}
    else:
        found = {"output": returned}
    torch = require("torch")
    tensors = {name: x for name, x in found.items() if isinstance(x, torch.Tensor)}
    if not tensors:
        raise ValidationError(
            f"the module must return tensors, got {type(returned).__name__}",
            attr="model",
        )
    return {name: x.detach().double().cpu().numpy() for name, x in tensors.items()}


def _no_dropout(module, told):
    text = NO_DROPOUT.format(type(module).__name__)
    return (
        f"{text.partition(';')[0]}: PyTorch called none with a rate above 0 in its "
        f"forward pass (dropout={told!r})"
    )
