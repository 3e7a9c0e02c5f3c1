"""What a source is."""

from nengo.exceptions import ValidationError


class Source:
    """
    Where models come from: what reads one kind of model.

    Subclasses are registered with `.registry.register_source`, or as entry points in
    the group "nengo_permadrop.sources".

    Attributes
    ----------
    name : str
        Such as "keras".
    title : str
        What it is called in messages, such as "Keras".
    endings : tuple of str
        Of the names of its model files, such as ".h5".
    refused_endings : tuple of str
        Of names of files that ``load`` only says of why it doesn't load them.
    """

    name = None
    title = None
    endings = ()
    refused_endings = ()

    def takes(self, model):
        """
        Whether a model is of this source's kind.

        It must not import the library that the model was written in.

        Parameters
        ----------
        model : object

        Returns
        -------
        takes : bool
        """
        raise NotImplementedError()

    def needs_examples(self, model):
        """
        Whether `prepared` needs rows of the model's inputs, as it doesn't say them.

        Parameters
        ----------
        model : object
            That this source takes.

        Returns
        -------
        needs : bool
        """
        return False

    def prepared(self, model, example_inputs=None):
        """
        A model as the other methods take it.

        Parameters
        ----------
        model : object
            That this source takes.
        example_inputs : object, optional
            Rows of its inputs, for models that don't say what they take.

        Returns
        -------
        model : object
            By default the same.

        Raises
        ------
        nengo.exceptions.ValidationError
            If examples are given that aren't needed.
        """
        if example_inputs is not None:
            raise ValidationError(
                f"are for modules of PyTorch; a {self.title} model says what it takes",
                attr="example_inputs",
            )
        return model

    def load(self, path, trust=False, weights=None, dropout_classes=(), **replacing):
        """
        Load a model's file, without running code that it holds or names.

        Parameters
        ----------
        path : str or path-like
            With one of the ``endings``.
        trust : bool, optional
            Load it with its own library, whatever code that runs.
        weights : str or path-like, optional
            A file of weights, in place of those in ``path``.
        dropout_classes : sequence of str, optional
            Names of classes in the file that are permanent dropout.
        **replacing
            ``max_to_avg_pool=True``, as in `.Converter`, where it is asked for. A
            source whose models pool takes it here, in ``read`` and in ``forward``.

        Returns
        -------
        model : object
        """
        raise NotImplementedError()

    def read(self, model, **replacing):
        """
        Read a model.

        Parameters
        ----------
        model : object
        **replacing
            As in ``load``.

        Returns
        -------
        graph : `.ModelGraph`

        Raises
        ------
        nengo_permadrop.ConversionError
            If a layer, or something about it, isn't supported: it names the layer, what
            was found, and what to do.
        """
        raise NotImplementedError()

    def forward(
        self, model, dropout="permanent", smooth=False, single=False, **replacing
    ):
        """
        The model's own forward pass, with masks that are given instead of drawn.

        Parameters
        ----------
        model : object
        dropout : {"permanent", "off", "all-off"} or {str: str}, optional
            Which dropouts are on, as in `.Converter`.
        smooth : bool, optional
            Compute the smooth curve of activations whose own has steps, as
            `.smooth_graph` does.
        single : bool, optional
            Compute in float32 what the model computes in half precision.
        **replacing
            As in ``load``.

        Returns
        -------
        forward : callable
            Takes a list of inputs, ``(n, ...)`` each, and a list of masks, ``(n,
            units)`` each, as `.drawn_mask` gives them, or None, which drops nothing;
            returns a list of outputs,
            ``(n, ...)`` each. It has an attribute ``dropouts``, a list of (path,
            number of units, rate) of the permanent dropouts, whose masks it takes,
            ``title``, whose answers they are, for messages, and ``graph``, with
            ``shapes``, ``inputs`` and ``outputs`` as of `.ModelGraph`. Where dropouts
            are not all plain ones it also has ``kinds``, a list of (kind, groups) of
            them, as in `.Drop`.
            Where a model may compute in half precision it also has ``half``, the name
            of that precision or None, and this method takes ``single=True``, to compute
            the same in float32.
        """
        raise NotImplementedError()

    def model_name(self, model):
        """What to call a model in messages."""
        return f"model '{getattr(model, 'name', type(model).__name__)}'"
