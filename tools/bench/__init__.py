# SPDX-License-Identifier: Apache-2.0
"""The same network through stipple and other runtimes, side by side: python -m tools.bench.compare."""
