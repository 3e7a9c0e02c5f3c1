"""Sending networks to other processes."""

import hashlib
import io
import pickle
import threading
import uuid

import nengo
from nengo.exceptions import ValidationError


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
        self._lock = threading.Lock()

    def pickled(self):
        """The content's pickle, which is made if there is none yet."""
        self.__getstate__()
        return self._pickled

    @property
    def n_bytes(self):
        """(int) Bytes of the pickle."""
        return len(self.pickled())

    @property
    def content(self):
        """What the parcel holds."""
        # only now: what hands parcels on, like a scheduler, needs no network
        with self._lock:
            if self._content is None:
                self._content = pickle.loads(self._pickled)
            return self._content

    def reference(self):
        """A `Reference` to this parcel."""
        return Reference(self)

    def __getstate__(self):
        with self._lock:
            if self._pickled is None:
                pickled = _pickled(self._content)
                self._hash = hashlib.sha256(pickled).hexdigest()
                self._pickled = pickled
        return {"_pickled": self._pickled, "key": self._hash}

    def __setstate__(self, state):
        self._pickled = state["_pickled"]
        self.key = self._hash = state["key"]
        self._content = None
        self._lock = threading.Lock()


def _pickled(content):
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(content)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValidationError(
            f"can't be sent to another process ({error}); give its Nodes "
            "functions or classes of a module instead of lambdas, or use an "
            "executor of threads, or none",
            attr="model",
        ) from error
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    """
    Pickles networks so that they are unpickled without a warning.

    Of each passthrough Node that is unpickled Nengo warns that its size_out is
    overwritten with its size_in, which it was already; so it goes without. (To ignore
    the warning is to change the process's filters, in a way that threads can't do at
    once.)
    """

    def reducer_override(self, obj):
        """Of `pickle.Pickler`."""
        if not isinstance(obj, nengo.Node) or obj.output is not None:
            return NotImplemented
        reduced = obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        function, arguments, state, *rest = reduced
        return function, arguments, {**state, "size_out": None}, *rest


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
