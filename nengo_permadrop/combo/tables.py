"""The two tables that CANDLE's ``infer.py`` writes."""

import contextlib
import errno
import os

import numpy as np
from nengo.exceptions import ValidationError

from nengo_permadrop.support.files import room_at, sync_folder
from nengo_permadrop.support.folders import check_folder, check_room, prepare_folder
from nengo_permadrop.support.locks import InUseError, hold

# Bytes of a number in a table, with what is between it and the next
_NUMBER = 8


class PredictionTables:
    """
    Both tables of predictions, written block by block; a context manager.

    They are tab-separated, with four decimals; names with tabs, breaks of lines or
    quotes are quoted, as pandas reads them. What is written goes to hidden files beside
    them. When the ``with`` block ends without an error, and all of both is on disk,
    they take the tables' names, together: what a process that is killed in between
    leaves undone, the next one does.

    Parameters
    ----------
    directory : str or path-like
        Made if it doesn't exist.
    sample_set, drug_set : str
        They name the files.
    quantiles : sequence of float, optional
        A column for each follows those of CANDLE.
    n_rows, n_draws : int, optional
        Of the whole table, for which there must be room.

    Attributes
    ----------
    summary_path : Path
        ``comb_pred_<sample set>_<drug set>.tsv``: one row per combination, with mean,
        standard deviation, minimum and maximum of its predictions.
    all_path : Path
        ``comb_pred_<sample set>_<drug set>.all.tsv``: one row per prediction.

    Raises
    ------
    nengo.exceptions.ValidationError
        If a quantile is not between 0 and 1, or a set's name can't be part of a file's.
    FileExistsError
        On entering: if another process, or thread, is writing the same tables.
    `.NoRoomError`
        If the disk is full; on entering, if there is no room for the whole tables.
    """

    def __init__(
        self, directory, sample_set, drug_set, quantiles=(), n_rows=0, n_draws=1
    ):
        for quantile in quantiles:
            if not 0 <= quantile <= 1:
                raise ValidationError(
                    f"must be between 0 and 1, got {quantile}", attr="quantiles"
                )
        for attr, name in (("sample_set", sample_set), ("drug_set", drug_set)):
            if any(char in name for char in "/\\\0"):
                raise ValidationError(
                    f"names a file, and can't hold '/', '\\' or NUL; got {name!r}",
                    attr=attr,
                )
        self.quantiles = tuple(quantiles)
        self.n_rows, self.n_draws = n_rows, n_draws
        directory = check_folder(directory)
        self.summary_path = directory / f"comb_pred_{sample_set}_{drug_set}.tsv"
        self.all_path = directory / f"comb_pred_{sample_set}_{drug_set}.all.tsv"
        self._paths = (self.summary_path, self.all_path)
        self._parts = [path.with_name(f".{path.name}.part") for path in self._paths]
        # the first part, once both are complete: a rename that needs no room
        self._complete = directory / f".{self.summary_path.name}.complete"

    def __enter__(self):
        directory = prepare_folder(self.summary_path.parent)
        with contextlib.ExitStack() as stack:
            self._lock(stack)
            self._rename_complete()
            for path in self._paths:
                if path.is_dir():
                    raise IsADirectoryError(
                        errno.EISDIR, "is a folder; name another place", str(path)
                    )
            for part in self._parts:  # of a process that was killed
                part.unlink(missing_ok=True)
            columns = self.n_rows * (8 + len(self.quantiles) + 6 * self.n_draws)
            check_room(directory, columns * _NUMBER)
            stack.callback(self._remove_parts)
            stack.enter_context(room_at(self.summary_path))
            self._streams = [
                stack.enter_context(open(part, "x", encoding="utf-8", newline=""))
                for part in self._parts
            ]
            self._stack = stack.pop_all()
        self._empty = True
        return self

    def __exit__(self, exc_type, error, trace):
        if exc_type is not None:
            return self._stack.__exit__(exc_type, error, trace)
        with self._stack:
            for stream in self._streams:
                stream.flush()
                os.fsync(stream.fileno())
                stream.close()
            os.replace(self._parts[0], self._complete)
            sync_folder(self._complete.parent)
            self._rename_complete()

    def _lock(self, stack):
        name = f".{self.summary_path.name}.lock"
        try:
            lock = hold(self.summary_path.with_name(name), keep=False)
            stack.enter_context(lock)
        except InUseError as error:
            raise FileExistsError(
                errno.EEXIST,
                f"is being written by {error.user}; wait for it to end, or name "
                "another place",
                str(self.summary_path),
            ) from error

    def _rename_complete(self):
        """Give both tables their names, if both are complete."""
        if not self._complete.exists():
            return
        with contextlib.suppress(FileNotFoundError):  # it has its name already
            os.replace(self._parts[1], self.all_path)
        os.replace(self._complete, self.summary_path)
        sync_folder(self._complete.parent)

    def _remove_parts(self):
        if not self._complete.exists():
            for part in self._parts:
                part.unlink(missing_ok=True)

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
