"""What a device can do at most, and how much memory a training took on it."""

import sys

import torch

PEAK_FLOPS: dict[str, dict[str, float]] = {
    "H200 NVL": {"float32": 60e12, "bfloat16": 835e12},
    "H200": {"float32": 67e12, "bfloat16": 989e12},
    "H100 PCIe": {"float32": 51e12, "bfloat16": 756e12},
    "H100 NVL": {"float32": 60e12, "bfloat16": 835e12},
    "H100": {"float32": 67e12, "bfloat16": 989e12},
    "A100": {"float32": 19.5e12, "bfloat16": 312e12},
    "L40S": {"float32": 91.6e12, "bfloat16": 362e12},
    "V100-SXM2": {"float32": 15.7e12},
    "T4": {"float32": 8.1e12},
}
"""Part of the name of a GPU to its dense FLOPs per second, from NVIDIA's data sheets: float32
without tensor cores, which is what PyTorch uses unless told otherwise, and bfloat16 with them. The
first part that fits holds; V100 and T4 have no bfloat16."""


def peak_flops(device: str, precision: str) -> float | None:
    """Peak FLOPs per second of a device by its name; None where no data sheet says.

    A CPU has no such number: its peak depends on clock, instructions and neighbours.

    >>> peak_flops("NVIDIA H100 80GB HBM3", "bfloat16")
    989000000000000.0
    """
    words = device.replace("-", " ").split()
    for part, peaks in PEAK_FLOPS.items():
        if all(word in words for word in part.replace("-", " ").split()):
            return peaks.get(precision)
    return None


def start_memory(device: torch.device) -> None:
    """Forget the peak of a GPU so far; that of a process cannot be forgotten."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Peak bytes of tensors on a GPU since `start_memory`; on a CPU those of the whole process.

    The latter is the resident memory since the process began, libraries and earlier runs included;
    None where the system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    from resource import RUSAGE_SELF, getrusage

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return getrusage(RUSAGE_SELF).ru_maxrss * unit
