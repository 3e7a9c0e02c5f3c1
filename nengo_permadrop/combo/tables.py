"""The two tables that CANDLE's ``infer.py`` writes."""

import contextlib
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.files import atomic_stream


class PredictionTables:
    """
    Both tables of predictions, written block by block; a context manager.

    They are tab-separated, with four decimals. What is written goes to temporary files,
    which take their names when the ``with`` block ends without an error.

    Parameters
    ----------
    directory : str or path-like
        Made if it doesn't exist.
    sample_set, drug_set : str
        They name the files.
    quantiles : sequence of float, optional
        A column for each follows those of CANDLE.

    Attributes
    ----------
    summary_path : Path
        ``comb_pred_<sample set>_<drug set>.tsv``: a row a combination, with mean,
        standard deviation, minimum and maximum of its predictions.
    all_path : Path
        ``comb_pred_<sample set>_<drug set>.all.tsv``: a row a prediction.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a quantile is not between 0 and 1.
    """

    def __init__(self, directory, sample_set, drug_set, quantiles=()):
        for quantile in quantiles:
            if not 0 <= quantile <= 1:
                raise ValidationError(
                    f"must be between 0 and 1, got {quantile}", attr="quantiles"
                )
        self.quantiles = tuple(quantiles)
        directory = Path(directory)
        self.summary_path = directory / f"comb_pred_{sample_set}_{drug_set}.tsv"
        self.all_path = directory / f"comb_pred_{sample_set}_{drug_set}.all.tsv"

    def __enter__(self):
        self.summary_path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            self._streams = []
            for path in (self.summary_path, self.all_path):
                self._streams.append(stack.enter_context(atomic_stream(path)))
            self._stack = stack.pop_all()
        self._empty = True
        return self

    def __exit__(self, *exc_info):
        return self._stack.__exit__(*exc_info)

    def write(self, labels, predictions):
        """
        Add the rows of some combinations.

        Parameters
        ----------
        labels : {str: (n_rows,) ndarray}
            "Sample", "Drug1" and "Drug2".
        predictions : (n_draws, n_rows) ndarray
        """
        import pandas as pd

        n_draws, n_rows = predictions.shape
        summary = {
            **labels,
            "N": np.full(n_rows, n_draws),
            "PredGrowthMean": predictions.mean(axis=0),
            "PredGrowthStd": predictions.std(axis=0),
            "PredGrowthMin": predictions.min(axis=0),
            "PredGrowthMax": predictions.max(axis=0),
        }
        for quantile in self.quantiles:
            name = f"PredGrowthQ{quantile:g}"
            summary[name] = np.quantile(predictions, quantile, axis=0)
        every = {name: np.repeat(values, n_draws) for name, values in labels.items()}
        every["N"] = np.full(n_rows * n_draws, n_draws)
        every["Seq"] = np.tile(np.arange(1, n_draws + 1), n_rows)
        every["PredGrowth"] = predictions.T.ravel()
        for stream, columns in zip(self._streams, (summary, every)):
            pd.DataFrame(columns).to_csv(
                stream,
                sep="\t",
                index=False,
                float_format="%.4f",
                header=self._empty,
                lineterminator="\n",
            )
        self._empty = False
