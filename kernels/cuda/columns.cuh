// Arrays (M, C) that are summed or treated column by column: a block has 32 columns, neighbours in memory, by ROWS
// rows, and walks down `rows` rows of its part, so that a column's constants are loaded once. columns.py makes the
// grid.
#pragma once
#define COLUMNS 32
#define ROWS 8

// One sum a column of what the block's threads hold, for those of the first row: added in the order of the rows.
__device__ inline float sum_of_rows(float (&shared)[ROWS][COLUMNS], float value) {
    shared[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    float sum = 0.0f;
    if (threadIdx.y == 0)
        for (int row = 0; row < ROWS; row++) sum += shared[row][threadIdx.x];
    __syncthreads();                                                 // before the next sum writes there
    return sum;
}

// for each row of the block's part, M rows in all, that this thread takes
#define FOR_EACH_ROW(row, M, rows)                                                                        \
    _Pragma("unroll 4") for (int row = blockIdx.y * rows + threadIdx.y, end_ = min((int)(blockIdx.y + 1) * rows, M); \
                             row < end_; row += ROWS)
