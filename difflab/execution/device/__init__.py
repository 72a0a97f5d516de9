"""Programs on a GPU: tapes as fused kernels, matrix products and moves between buffers that CuPy holds."""
