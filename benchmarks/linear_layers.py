"""Float32 products of inference beside PyTorch's default and beside what the processor could do at most.

    python benchmarks/linear_layers.py

The peak is a loop of independent fused multiply-adds over registers, compiled here for this processor (it needs a C
compiler and is left out without one). One product of 2048 × 2048 × 2048, then products of the detector's sizes.
1.9 times the default's speed is asked for where the default is slow: where it has more than 52 % of the peak, nothing
can be so fast.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import Row, arguments, best_seconds, report

from uniperceiver.linear import describe_products, linear

SIDE = 2048
SHAPES = ((17821, 256, 1024), (17821, 256, 256), (1061, 768, 3072), (2, 768, 3072), (16, 768, 50265))
"""Rows, inputs and outputs: the encoder's maps, the unified decoder, a step of decoding, a vocabulary."""
LANES, CHAINS = 16, 12
PEAK = f"""
typedef float lanes __attribute__((vector_size(4 * {LANES})));
void multiply_add(long repeats, float *out) {{
    lanes sums[{CHAINS}], a, b;
    for (int i = 0; i < {LANES}; i++) {{ a[i] = out[i]; b[i] = out[i]; }}
    for (int c = 0; c < {CHAINS}; c++) sums[c] = a;
    for (long r = 0; r < repeats; r++) {{
        _Pragma("GCC unroll {CHAINS}")
        for (int c = 0; c < {CHAINS}; c++) sums[c] = sums[c] * a + b;
        __asm__ volatile("" : "+x"(a), "+x"(b));
    }}
    for (int c = 0; c < {CHAINS}; c++) for (int i = 0; i < {LANES}; i++) out[i] += sums[c][i];
}}
"""


def compiled_loop(folder: Path) -> ctypes.CDLL | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    (folder / "peak.c").write_text(PEAK)
    flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-shared", "-fPIC"]
    done = subprocess.run([compiler, *flags, "peak.c", "-o", "peak.so"], cwd=folder, capture_output=True, check=False)
    return ctypes.CDLL(str(folder / "peak.so")) if done.returncode == 0 else None


def peak_flops(loop: ctypes.CDLL, threads: int) -> float:
    """Floating-point operations per second of threads that do nothing but multiply and add; best of five."""
    repeats = 10_000_000
    best = 0.0
    for _ in range(5):
        workers = [
            threading.Thread(target=loop.multiply_add, args=(ctypes.c_long(repeats), (ctypes.c_float * LANES)()))
            for _ in range(threads)
        ]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, threads * repeats * LANES * CHAINS * 2 / (time.perf_counter() - began))
    return best


def compare(shape: tuple[int, int, int], rounds: int) -> tuple[float, float, float]:
    """Seconds of the default and of ours, and the largest difference relative to the largest number."""
    rows, inputs, outputs = shape
    x, weight, bias = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    expected = F.linear(x, weight, bias)
    error = float((linear(x, weight, bias) - expected).abs().max() / expected.abs().max())
    linear(x, weight, bias)  # a matrix that comes back with few rows is reordered
    seconds = best_seconds(
        {"default": lambda: F.linear(x, weight, bias), "ours": lambda: linear(x, weight, bias)}, rounds
    )
    return seconds["default"], seconds["ours"], error


def measured_rows(threads: int, peak: float | None, rounds: int) -> list[Row]:
    default, ours, error = compare((SIDE, SIDE, SIDE), rounds)
    speed = 2 * SIDE**3 / ours
    on = f"fp32 linear layers, {threads} thread{'s' * (threads > 1)}"
    their_speed = 2 * SIDE**3 / default
    detail = f"{speed / 1e9:.0f} against {their_speed / 1e9:.0f} GFLOP/s"
    if peak is not None:
        detail += f"; the default has {100 * their_speed / peak:.0f} % of the peak"
    rows = [Row(on, "PyTorch's default, where it is slow", default / ours, 1.9, detail=f"({detail})")]
    if peak is not None:
        share = 80 if threads == 1 else 70
        rows.append(
            Row(on, "multiply-add peak", 100 * speed / peak, share, unit=" %", detail=f"({peak / 1e9:.0f} GF/s)")
        )
    rows.append(Row(on, "difference × 1e5", 1e5 * error, 1.0, sense="at most", unit=""))
    return rows


@torch.inference_mode()
def main() -> None:
    given = arguments(__doc__).parse_args()
    rounds = 3 if given.quick else 9
    print(describe_products())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        loop = compiled_loop(Path(folder))
        for threads in sorted({1, min(2, torch.get_num_threads())}):
            torch.set_num_threads(threads)
            rows += measured_rows(threads, None if loop is None else peak_flops(loop, threads), rounds)
    for shape in SHAPES:
        default, ours, error = compare(shape, rounds)
        print(f"{shape}: default {1e3 * default:.2f} ms, ours {1e3 * ours:.2f} ms, {default / ours:.2f}×, {error:.0e}")
    report(rows, given.json)


if __name__ == "__main__":
    main()
