"""Sending networks to other processes."""

import pickle
import warnings

from nengo.exceptions import ValidationError


class Parcel:
    """
    Something that may travel to many workers, and is pickled once for all of them.

    Parameters
    ----------
    content : object
        A problem, network or Keras model. Threads get this very object.

    Raises
    ------
    nengo.exceptions.ValidationError
        When it is sent to a process, if it can't be pickled.
    """

    def __init__(self, content):
        self.content = content
        self._pickled = None

    def __getstate__(self):
        if self._pickled is None:
            try:
                self._pickled = pickle.dumps(self.content, pickle.HIGHEST_PROTOCOL)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise ValidationError(
                    f"can't be sent to another process ({error}); give its Nodes "
                    "functions or classes of a module instead of lambdas, or use an "
                    "executor of threads, or none",
                    attr="model",
                ) from error
        return {"_pickled": self._pickled}

    def __setstate__(self, state):
        self._pickled = state["_pickled"]
        with warnings.catch_warnings():
            # Nengo says of each passthrough Node that is unpickled that its size_out is
            # its size_in, as it was
            warnings.filterwarnings("ignore", "'Node.size_out' is being overwritten")
            self.content = pickle.loads(self._pickled)
