"""What a process has been given, told by functions that are sent to it."""

from threadpoolctl import threadpool_info


def threads_of_this_process():
    """Of each BLAS and OpenMP library, and of the batched simulator (by Numba)."""
    from nengo_permadrop.batched.compiled.engine import n_threads

    blas = {
        library["internal_api"]: library["num_threads"] for library in threadpool_info()
    }
    assert blas, "NumPy has a BLAS"
    return {**blas, "numba": n_threads()}
