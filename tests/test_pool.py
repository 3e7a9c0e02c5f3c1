import multiprocessing
import os
import time

import pytest

from nengo_permadrop.pool import process_pool, usable_cpus


def test_one_worker_needs_no_process():
    with process_pool(1) as executor:
        assert executor is None
    assert 1 <= usable_cpus() <= os.cpu_count()


def test_workers_compute_with_one_thread_each(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # what the user has set, stays
    with process_pool(2) as executor:
        futures = [
            executor.submit(os.getenv, f"{library}_NUM_THREADS")
            for library in ("OPENBLAS", "OMP")
        ]
        assert [future.result(timeout=60) for future in futures] == ["1", "3"]
        assert executor.submit(os.getpid).result(timeout=60) != os.getpid()
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_interrupt_ends_the_workers():
    before = set(multiprocessing.active_children())
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), process_pool(2) as executor:
        futures = [executor.submit(time.sleep, 600) for _ in range(4)]
        while not futures[0].running():
            time.sleep(0.01)
        raise KeyboardInterrupt
    while set(multiprocessing.active_children()) - before:
        assert time.monotonic() - start < 60, "workers still run"
        time.sleep(0.05)
