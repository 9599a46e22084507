"""How many threads the numerical libraries use, set before any of them is loaded.

By themselves they take as many threads as the machine has cores, whatever the container may use,
and their idle threads spin. On a busy or throttled machine one row then costs milliseconds where it
takes microseconds. What people set in the environment is left as it is.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def limit_threads(environment: MutableMapping[str, str]) -> None:
    """Set defaults for OpenMP, BLAS, PyTorch and TensorFlow in ``environment``, for this process.

    At most one thread for each CPU that the process may use; threads without work sleep. Call it
    before NumPy is imported: libraries read these variables once.
    """
    threads = str(cpus())
    environment.setdefault("OMP_NUM_THREADS", threads)  # OpenBLAS, MKL and PyTorch read it, too
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("TF_NUM_INTRAOP_THREADS", environment["OMP_NUM_THREADS"])
    environment.setdefault("TF_NUM_INTEROP_THREADS", "1")


def cpus(cgroup: Path = _CGROUP) -> int:
    """CPUs that this process may use: its affinity, or its container's quota, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _quota(cgroup)
    return max(1, min(allowed or 1, math.ceil(quota) if quota else allowed or 1))


def _quota(cgroup: Path) -> float | None:
    """The container's CPU limit in CPUs, of cgroups of version 2 or 1; None if it has none."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no cgroups here, or "max"
        return None
