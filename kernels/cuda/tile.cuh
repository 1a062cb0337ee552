// A tile of a matrix product, C (TILE_M, TILE_N) = A (TILE_M, K) B (K, TILE_N), by a block of 256 threads.
//
// Slices of STEP columns of A and rows of B go through shared memory, where many threads use each number; the next
// slice is already on its way from memory while this one is multiplied, by tile_float32.cuh or tile_tf32.cuh. Where the
// numbers of A and B come from is the business of the two sources, whose neighbours in a warp fetch along k or along
// the rows, whichever lies together in memory. So a convolution needs no matrix of windows.
#pragma once
#ifndef TILE_M
#define TILE_M 64                                // or 128; conv.py chooses
#define TILE_N 64
#endif
#ifndef TF32
#define TF32 0                                   // or 1: products on the tensor cores
#endif
#define STEP 16
#define TM (TILE_M / 16)                         // a thread's own part of the result is (TM, TN)
#define TN (TILE_N / 16)

// The margin keeps the threads of a warp in different banks: which ones read together is another matter in
// tile_tf32.cuh.
#define MARGIN (TF32 ? 8 : 4)
struct alignas(16) Tiles { float a[STEP][TILE_M + MARGIN], b[STEP][TILE_N + MARGIN]; };

#if TF32
#include "tile_tf32.cuh"
#else
#include "tile_float32.cuh"
#endif

// Which of a slice's TILE x STEP numbers a thread fetches as its i-th: neighbours along k, or along the rows.
struct AlongK {
    static __device__ int k(int, int) { return threadIdx.x % STEP; }
    static __device__ int row(int i, int) { return threadIdx.x / STEP + 16 * i; }
};
struct AlongRows {
    static __device__ int k(int i, int tile) { return threadIdx.x / tile + 256 / tile * i; }
    static __device__ int row(int, int tile) { return threadIdx.x % tile; }
};

template <class Places, int TILE, int T, int WIDTH>
__device__ inline void store(float (&slices)[STEP][WIDTH], const float (&values)[T]) {
#pragma unroll
    for (int i = 0; i < T; i++) slices[Places::k(i, TILE)][Places::row(i, TILE)] = rounded(values[i]);
}

// sum[i][j] = Σ over first <= k < last: A(own_row(i), k) B(k, own_column(j)).  a.fetch(k, last, values) gets what the
// thread has to fetch of the slice that begins at k, zeros outside of the matrix.
template <class A, class B>
__device__ inline void multiply(A& a, B& b, int first, int last, Tiles& tiles, float (&sum)[TM][TN]) {
    float next_a[TM], next_b[TN];
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) sum[i][j] = 0.0f;
    a.fetch(first, last, next_a);
    b.fetch(first, last, next_b);
    for (int k = first; k < last; k += STEP) {
        store<typename A::Places, TILE_M>(tiles.a, next_a);
        store<typename B::Places, TILE_N>(tiles.b, next_b);
        __syncthreads();
        if (k + STEP < last) {
            a.fetch(k + STEP, last, next_a);
            b.fetch(k + STEP, last, next_b);
        }
        add_products(tiles, sum);
        __syncthreads();
    }
}
