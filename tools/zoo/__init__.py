# SPDX-License-Identifier: Apache-2.0
"""Sparse networks as ONNX files with seeded weights, and their comparison with ONNX Runtime."""
