"""Kernels for CuPy arrays. CuPy arrays run on `reference`, which is array-module neutral, until an operation stands here."""
