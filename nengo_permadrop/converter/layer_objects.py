"""The Nengo objects of a converted network, by the names of layers."""


class LayerObjects(dict):
    """
    The Nengo object of each layer: an ensemble's neurons, or a Node.

    A layer that is linear has no object of its own; its name gives the object that its
    values go into. A layer that only hands on values (dropout, reshaping) gives the
    object that they come from.

    Keys are paths (``drug_encoder[1]/dense_2``); the last part alone will do where it
    is unambiguous.
    """

    def __missing__(self, name):
        matches = [path for path in self if path.rpartition("/")[2] == name]
        if len(matches) == 1:
            return self[matches[0]]
        if matches:
            raise KeyError(f"'{name}' is ambiguous; use one of {', '.join(matches)}")
        raise KeyError(f"no layer '{name}'; there are {', '.join(self)}")
