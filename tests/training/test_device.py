import numpy as np
import pytest
import torch

from jetscale.training.device import PEAK_FLOPS, peak_flops, peak_memory, start_memory


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("NVIDIA H200", "bfloat16", 989e12),
        ("NVIDIA H200 NVL", "bfloat16", 835e12),
        ("NVIDIA H100 PCIe", "float32", 51e12),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312e12),
        ("Tesla V100-SXM2-16GB", "float32", 15.7e12),
        ("Tesla V100-SXM2-16GB", "bfloat16", None),  # it has none
        ("Tesla V100-PCIE-16GB", "float32", None),  # another clock, not in the table
        ("Tesla T4", "float32", 8.1e12),
        ("NVIDIA GeForce RTX 4090", "float32", None),
        ("cpu", "float32", None),
    ],
)
def test_peaks_are_known_by_name_or_not_at_all(name, precision, expected):
    assert peak_flops(name, precision) == expected


def test_the_first_name_that_fits_is_the_most_precise():
    names = list(PEAK_FLOPS)
    for i, name in enumerate(names):
        assert not any(set(other.split()) < set(name.split()) for other in names[:i])


@pytest.mark.slow
def test_memory_of_a_cpu_is_that_of_the_process():
    device = torch.device("cpu")
    start_memory(device)
    before = peak_memory(device)
    block = np.ones(2**25)  # 256 MiB that are written to
    after = peak_memory(device)
    assert block[-1] == 1
    assert before <= after
    assert after >= block.nbytes
