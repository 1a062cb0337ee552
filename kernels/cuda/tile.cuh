// A tile of a matrix product in float32, C (TILE_M, TILE_N) = A (TILE_M, K) B (K, TILE_N), by a block of 256 threads and
// the ordinary units; tile_tensor.cuh has the tensor cores.
//
// Slices of STEP columns of A and rows of B go through shared memory, where many threads use each number; the next
// slice is already on its way from memory while this one is multiplied. Where the numbers of A and B come from is the
// business of the two sources, whose neighbours in a warp fetch along k or along the rows, whichever lies together in
// memory. So a convolution needs no matrix of windows.
#pragma once
#ifndef TILE_M
#define TILE_M 64                                // or 128; conv.py chooses
#define TILE_N 64
#endif
#define STEP 16
#define TM (TILE_M / 16)                         // a thread's own part of the result is (TM, TN)
#define TN (TILE_N / 16)

#define MARGIN 4                                 // keeps the threads of a warp in different banks

struct alignas(16) Tiles { float a[STEP][TILE_M + MARGIN], b[STEP][TILE_N + MARGIN]; };

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
    for (int i = 0; i < T; i++) slices[Places::k(i, TILE)][Places::row(i, TILE)] = values[i];
}

// Of 16 threads, the one at `place` has these rows (or columns) of the tile: fours.
__device__ inline int part(int place, int i) { return i / 4 * 64 + place * 4 + i % 4; }
__device__ inline int own_row(int i) { return part(threadIdx.x / 16, i); }
__device__ inline int own_column(int j) { return part(threadIdx.x % 16, j); }

template <int T, int WIDTH>
__device__ inline void read_part(const float (&slice)[WIDTH], int place, float (&values)[T]) {
#pragma unroll
    for (int i = 0; i < T; i += 4) {
        float4 four = *reinterpret_cast<const float4*>(&slice[part(place, i)]);
        values[i] = four.x, values[i + 1] = four.y, values[i + 2] = four.z, values[i + 3] = four.w;
    }
}

// sum += what the slice adds to it: a thread reads its rows and columns in vectors of four, TM x TN products for TM + TN
// numbers.
__device__ inline void add_products(const Tiles& tiles, float (&sum)[TM][TN]) {
#pragma unroll
    for (int k = 0; k < STEP; k++) {
        float rows[TM], columns[TN];
        read_part(tiles.a[k], threadIdx.x / 16, rows);
        read_part(tiles.b[k], threadIdx.x % 16, columns);
#pragma unroll
        for (int i = 0; i < TM; i++)
#pragma unroll
            for (int j = 0; j < TN; j++) sum[i][j] = __fmaf_rn(rows[i], columns[j], sum[i][j]);
    }
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
