"""Sending networks to other processes."""

import hashlib
import pickle
import uuid

from nengo.exceptions import ValidationError

from nengo_permadrop.quiet import ignoring


class Parcel:
    """
    Something that may travel to many workers, and is pickled once for all of them.

    Parameters
    ----------
    content : object
        A problem, network or Keras model. Threads get this very object.

    Attributes
    ----------
    key : str
        A name for the content: in another process a hash of the pickle, in this one
        another name for each parcel.

    Raises
    ------
    nengo.exceptions.ValidationError
        When it is sent to a process, if it can't be pickled.
    """

    def __init__(self, content):
        self._content = content
        self.key = uuid.uuid4().hex
        self._pickled = None

    @property
    def content(self):
        """What the parcel holds."""
        if self._content is None:
            # only now: what hands parcels on, like a scheduler, needs no network
            # Nengo says of each passthrough Node that is unpickled that its size_out is
            # its size_in, as it was
            with ignoring("'Node.size_out' is being overwritten"):
                self._content = pickle.loads(self._pickled)
        return self._content

    def reference(self):
        """A `Reference` to this parcel."""
        return Reference(self)

    def __getstate__(self):
        if self._pickled is None:
            try:
                self._pickled = pickle.dumps(self._content, pickle.HIGHEST_PROTOCOL)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise ValidationError(
                    f"can't be sent to another process ({error}); give its Nodes "
                    "functions or classes of a module instead of lambdas, or use an "
                    "executor of threads, or none",
                    attr="model",
                ) from error
            self._hash = hashlib.sha256(self._pickled).hexdigest()
        return {"_pickled": self._pickled, "key": self._hash}

    def __setstate__(self, state):
        self._pickled = state["_pickled"]
        self.key = self._hash = state["key"]
        self._content = None


class Reference:
    """
    A parcel's name alone, for a process that has its content already.

    Parameters
    ----------
    parcel : `Parcel`

    Attributes
    ----------
    key : str
        As of the parcel.
    parcel : `Parcel` or None
        None in another process.
    """

    def __init__(self, parcel):
        self.parcel = parcel
        self.key = parcel.key

    def __getstate__(self):
        if self.parcel is None:
            return {"key": self.key}
        return {"key": self.parcel.__getstate__()["key"]}

    def __setstate__(self, state):
        self.parcel = None
        self.key = state["key"]
