"""How rows become what a network takes, and its answers the target's units."""

from dataclasses import dataclass

import numpy as np
from nengo.exceptions import ValidationError


@dataclass(frozen=True, eq=False)
class Preparation:
    """
    What is done to rows before a network, and to its answers behind it.

    Attributes
    ----------
    output_names : tuple of str
        Of the target's columns.
    target_mean, target_std : (n_outputs,) ndarray
        ``answer * target_std + target_mean`` is in the target's units.
    columns : {str: list} or None
        Names of the columns, or key of the array, that each input takes. None where
        rows have no names.
    ids : tuple of str
        Names of the columns that name a row.
    moments : {str: (mean, std)} or None
        Of each input's features, ``(n_features,)`` each, or of the channels of images:
        ``(x - mean) / std`` is what the network takes. None if it takes the rows as
        they are.
    """

    output_names: tuple
    target_mean: np.ndarray
    target_std: np.ndarray
    columns: dict = None
    ids: tuple = ()
    moments: dict = None

    def inputs(self, rows):
        """
        What the network takes.

        Parameters
        ----------
        rows : {str: (n_rows, ...) ndarray}
            By input, as they are.

        Returns
        -------
        inputs : {str: (n_rows, ...) ndarray of float32}
        """
        if self.moments is None:
            return rows
        return {
            name: ((x - self.moments[name][0]) / self.moments[name][1]).astype(
                "float32"
            )
            for name, x in rows.items()
        }

    def to_dict(self):
        """As JSON can hold it."""
        moments = self.moments and {
            name: {"mean": list(map(float, mean)), "std": list(map(float, std))}
            for name, (mean, std) in self.moments.items()
        }
        return {
            "outputs": list(self.output_names),
            "target_mean": list(map(float, self.target_mean)),
            "target_std": list(map(float, self.target_std)),
            "columns": self.columns,
            "ids": list(self.ids),
            "moments": moments,
        }

    @classmethod
    def from_dict(cls, found, where):
        """
        From what `to_dict` gave.

        Parameters
        ----------
        found : dict
        where : str
            The file that it is from, for messages.

        Raises
        ------
        nengo.exceptions.ValidationError
            If something is missing or isn't what it should be.
        """
        try:
            moments = found["moments"] and {
                name: (np.array(each["mean"], float), np.array(each["std"], float))
                for name, each in found["moments"].items()
            }
            return cls(
                tuple(map(str, found["outputs"])),
                np.array(found["target_mean"], float),
                np.array(found["target_std"], float),
                found["columns"],
                tuple(map(str, found["ids"])),
                moments,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValidationError(
                f"{where} doesn't say how rows are prepared ({error!r}); run the study "
                "again, or give the model's file",
                attr="model",
            ) from None
