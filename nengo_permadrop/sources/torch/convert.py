"""A program of PyTorch's operators as a neutral graph."""

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.operators.arithmetic import GraphValue
from nengo_permadrop.sources.operators.functions import finish
from nengo_permadrop.sources.operators.rows import RowsWriter
from nengo_permadrop.sources.torch.converters import (  # noqa: F401 they register
    activations,
    arithmetic,
    layers,
    shapes,
)
from nengo_permadrop.sources.torch.table import check_operator, write_call


class TorchWriter(RowsWriter):
    """
    A graph's writer, and what else converters of PyTorch's operators need.

    Parameters
    ----------
    rows : int
    when : {str: str}
        When the dropout of each node drops units, as in `.Drop`.
    max_to_avg_pool : bool
        As in `.Converter`.
    """

    def __init__(self, rows, when, max_to_avg_pool):
        super().__init__(rows)
        self.when = when
        self.max_to_avg_pool = max_to_avg_pool


def neutral(program, when, max_to_avg_pool=False):
    """
    A program as a neutral graph.

    Parameters
    ----------
    program : `.Program`
    when : {str: str}
        When the dropout of each node drops units, as in `.Drop`.
    max_to_avg_pool : bool, optional
        As in `.Converter`.

    Returns
    -------
    graph : `.ModelGraph`

    Raises
    ------
    ConversionError
        If an operator, or something about it, is not supported.
    """
    for call in program.calls:
        _check_kept(call)
        check_operator(call)
    writer = TorchWriter(program.rows, when, max_to_avg_pool)
    results = dict(program.constants)
    for name, (_, *shape) in program.inputs.items():
        results[name] = GraphValue(writer.input(name, shape))
    for call in program.calls:
        results[call.name] = write_call(writer, call, results)
    for name, node in program.outputs.items():
        result = results[node]
        if not isinstance(result, GraphValue):
            raise ConversionError(
                f"output '{name}'",
                "doesn't depend on the input",
                "Return from forward what does",
            )
        writer.output(name, result.index)
    finish(writer)
    return writer.graph


def _check_kept(call):
    """Raise if a dropout module has lost its dropout."""
    _, _, kind = call.modules[-1] if call.modules else ("", "", "")
    if kind.startswith("torch.nn.modules.dropout.") and call.operator == "aten.clone":
        raise ConversionError(
            str(call.where),
            "copies what it gets: decompositions of a program that was exported in "
            "evaluation mode leave out dropout",
            "Convert the module, or the program as torch.export.export gives it, "
            "without run_decompositions",
        )
