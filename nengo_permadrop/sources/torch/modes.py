"""Whether the dropouts of a program are on, and whether that is for good."""

from nengo_permadrop.graph.dropouts import ALWAYS, PLAIN

DROPOUTS = (
    "aten.alpha_dropout",
    "aten.dropout",
    "aten.feature_alpha_dropout",
    "aten.feature_dropout",
    "aten.native_dropout",
)


def baked(program):
    """
    When dropouts are on, by the flags that a program has.

    Parameters
    ----------
    program : `.Program`

    Returns
    -------
    when : {str: str}
        By node: always where a flag is set, unless it may be the mode's, of a dropout
        module; otherwise it is plain dropout.
    """
    return {
        call.name: ALWAYS if is_on and not _of_dropout_module(call) else PLAIN
        for call, is_on in dropout_flags(program).values()
    }


def _of_dropout_module(call):
    return bool(call.modules) and call.modules[-1][2].startswith(
        "torch.nn.modules.dropout."
    )


def dropout_flags(program):
    """
    The dropouts of a program, and whether each is on.

    Parameters
    ----------
    program : `.Program`

    Returns
    -------
    flags : {tuple: (`.torch.program.Call`, bool)}
        By what is the same in both modes of a module: its call, and the dropout's
        number in it.
    """
    found = {}
    for call in program.calls:
        if call.operator in DROPOUTS:
            path = call.modules[-1][0] if call.modules else ""
            number = sum(1 for key in found if key[0] == path)
            found[path, number] = call, bool(call.args.get("train"))
    return found
