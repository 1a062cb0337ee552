"""Sums over all axes but the last, and how the rows of an array (M, C) are shared out to blocks. Kernels: bias.cu.

The shares depend on the shape alone and their sums are added in a fixed order: the same bits on every device and run.
"""
from .launch import blocks, empty, launch

COLUMNS, ROWS = 32, 8                            # of a block, as in columns.cuh
BLOCK = COLUMNS, ROWS
FEWEST = 8 * ROWS                                # rows of a block: each thread has some before sums are put together
ENOUGH = 2048                                    # blocks, for any device


def parts(M, C):
    """(grid, rows): each block takes 32 columns and `rows` rows; grid[1] is the number of parts of a column."""
    across = max(1, blocks(C, COLUMNS))
    rows = blocks(max(1, M), max(1, min(blocks(M, FEWEST), ENOUGH // across)))
    return (across, max(1, blocks(M, rows))), rows


def column_sums(x, M, C):
    """x, M rows of C numbers -> (C,)."""
    grid, rows = parts(M, C)
    sums = empty((grid[1], C))
    launch("bias", "column_sums", grid, BLOCK, x=x, sums=sums, M=M, C=C, rows=rows)
    return together(sums)


def together(partial):
    """partial (parts, C) -> (C,), the parts added in their order."""
    parts_, C = partial.shape
    return partial.reshape(C) if parts_ == 1 else column_sums(partial, parts_, C)
