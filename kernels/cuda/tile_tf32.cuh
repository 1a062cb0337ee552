// The products of a tile's slice on the tensor cores: factors rounded to TF32 (8 bits of exponent, 11 of mantissa),
// sums in float32. The 8 warps stand 2 x 4, each with half of the tile's rows and a quarter of its columns, in pieces
// of 16 x 8, for which a warp holds 8 columns of A and 8 rows of B in its registers (PTX, "matrix fragments for
// mma.m16n8k8").
#pragma once
#include "tensor_core.cuh"
#define WARP (threadIdx.x / 32)
#define GROUP (threadIdx.x % 32 / 4)             // of the 8 groups of 4 threads in a warp
#define MEMBER (threadIdx.x % 4)                 // in its group
#define FIRST_ROW (WARP / 4 * (TILE_M / 2))
#define FIRST_COLUMN (WARP % 4 * (TILE_N / 4))

__device__ inline float rounded(float value) { return round_to_tf32(value); }

// A piece's 16 x 8 results are spread over the warp: a thread has rows GROUP and GROUP + 8, columns 2 MEMBER and one
// more.
__device__ inline int own_row(int i) { return FIRST_ROW + i / 2 * 16 + i % 2 * 8 + GROUP; }
__device__ inline int own_column(int j) { return FIRST_COLUMN + j / 2 * 8 + MEMBER * 2 + j % 2; }

// sum += what the slice adds to it
__device__ inline void add_products(const Tiles& tiles, float (&sum)[TM][TN]) {
#pragma unroll
    for (int k = 0; k < STEP; k += 8) {
        float a[TM / 2][4], b[TN / 2][2];
#pragma unroll
        for (int i = 0; i < TM / 2; i++)
#pragma unroll
            for (int part = 0; part < 4; part++)                     // rows GROUP, GROUP + 8; then four columns on
                a[i][part] = tiles.a[k + MEMBER + part / 2 * 4][FIRST_ROW + i * 16 + part % 2 * 8 + GROUP];
#pragma unroll
        for (int j = 0; j < TN / 2; j++)
#pragma unroll
            for (int part = 0; part < 2; part++)
                b[j][part] = tiles.b[k + MEMBER + part * 4][FIRST_COLUMN + j * 8 + GROUP];
#pragma unroll
        for (int i = 0; i < TM / 2; i++)
#pragma unroll
            for (int j = 0; j < TN / 2; j++)
                multiply_add_tf32(sum[2 * i][2 * j], sum[2 * i][2 * j + 1], sum[2 * i + 1][2 * j],
                                  sum[2 * i + 1][2 * j + 1], a[i], b[j]);
    }
}
