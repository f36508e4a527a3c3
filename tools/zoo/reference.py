# SPDX-License-Identifier: Apache-2.0
"""Sample in numpy: what a model's masks are explained by, independent of any ONNX runtime."""

import numpy as np

from .functions import PHILOX_MULTIPLIER, PHILOX_ROUNDS, PHILOX_WEYL

_WORD = np.uint64(0xFFFFFFFF)


def philox2x32(c0, c1, key):
    """Both words of Philox2x32-10; arguments are 32-bit words or arrays of them, which broadcast."""
    c0, c1, key = (np.asarray(a, np.uint64) & _WORD for a in (c0, c1, key))
    for turn in range(PHILOX_ROUNDS):
        if turn:
            key = (key + np.uint64(PHILOX_WEYL)) & _WORD
        product = c0 * np.uint64(PHILOX_MULTIPLIER)
        c0, c1 = (product >> np.uint64(32)) ^ key ^ c1, product & _WORD
    return c0.astype(np.uint32), c1.astype(np.uint32)


def uniforms(seed, stream, height, width):
    """u of every site, S×1×H×W for S seeds."""
    key = (np.asarray(seed, np.int64) & 0xFFFFFFFF).reshape(-1, 1, 1, 1)
    site = np.arange(height * width).reshape(1, 1, height, width)
    word, _ = philox2x32(site, stream, key)
    return (word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def grid_sites(grid, height, width):
    """True at the sites of the grid prior, H×W."""
    if grid == 0:
        return np.zeros((height, width), bool)
    return (np.arange(height)[:, None] % grid == 0) & (np.arange(width) % grid == 0)


def sigmoid(logits):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits))


def sample(logits, seed, stochastic, stream, grid):
    """The mask as booleans, of the logits' shape."""
    height, width = logits.shape[2:]
    if stochastic:
        drawn = uniforms(seed, stream, height, width) < sigmoid(logits)
    else:
        drawn = logits >= 0
    return drawn | grid_sites(grid, height, width)


def rbf_kernel(lam, size=7):
    """w(d) = λ²/(2π) · exp(−λ²/2 · d²) on a size×size window."""
    offset = np.arange(size) - size // 2
    square = offset[:, None] ** 2 + offset**2
    return (lam**2 / (2 * np.pi) * np.exp(-(lam**2) / 2 * square)).astype(np.float32)
