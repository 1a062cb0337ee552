// A tile of a matrix product on the tensor cores, C (TILE_M, TILE_N) = A (TILE_M, K) B (K, TILE_N): bfloat16, or float32
// rounded to TF32; sums in float32. Two warps, one above the other, or four, 2 x 2; each has 64 x 64 of the results
// (of the smallest tile 32 x 32), the more the better: each number that it reads is multiplied with 64 others.
//
// Stages. Slices of STEP columns of A and rows of B come to shared memory by copies that run by themselves (cp.async),
// STAGES - 1 slices ahead of the one that is multiplied: memory answers late, and so nobody waits for it.
// Chunks. All is copied 16 bytes at a time, EACH numbers that lie together in memory: a slice is 64 bytes along k.
// Swizzle. Shared memory has 32 banks of 4 bytes, and a bank serves one thread at a time. A chunk's place in its line
// of 128 bytes is its number, some bits of it turned over (^) by the number of its line: so the 8 chunks that are read
// at once, which stand one below another, are in 8 different places, and all banks are at work.
#pragma once
#include "tensor_core.cuh"

#ifndef TILE_M
#define TILE_M 64                                // 128 x 128, 128 x 64 or 64 x 64; conv_tensor.py chooses
#define TILE_N 64
#endif
#define STAGES (TILE_M + TILE_N > 192 ? 3 : 4)   // what 48 KB hold
#define EACH ((int)(16 / sizeof(real)))
#define STEP (4 * EACH)
#define ACROSS (TILE_M > TILE_N ? 1 : 2)         // warps side by side
#define TENSOR_THREADS (64 * ACROSS)
#define COPIES(TILE) (TILE * 4 / TENSOR_THREADS) // chunks that a thread copies of a slice of A or B
#define WARP_M (TILE_M / 2)                      // a warp's own part of the tile
#define WARP_N (TILE_N / ACROSS)

#define LANE ((int)threadIdx.x % 32)
#define WARP ((int)threadIdx.x / 32)
#define FIRST_ROW (WARP / ACROSS * WARP_M)
#define FIRST_COLUMN (WARP % ACROSS * WARP_N)

struct alignas(128) Stage { char a[TILE_M * 64], b[TILE_N * 64]; };
union Shared {
    Stage stages[STAGES];
    float results[2 * ACROSS][16][WARP_N + 8];   // of each warp, 16 rows; the margin keeps rows in different banks
};

// sum[i][j] are 16 x 8 of the results; a lane has rows LANE / 4 and 8 more, columns 2 (LANE % 4) and one more.
typedef float Sums[WARP_M / 16][WARP_N / 8][4];

// Two ways to lay a slice of A (or B) out, for numbers that lie together along k or along the rows (columns of B). Each
// says which chunk a thread copies as its i-th (numbers k() and on of row(i); or numbers row(i) and on of k()), where in
// the slice it goes, and reads what a multiplication takes: pieces of 16 rows by two chunks of k, which are four matrices
// of 8 rows by a chunk, a register of each lane for each. A's four go down the rows first, B's along k: `down_first`.
struct AlongK {
    static __device__ int k() { return threadIdx.x % 4 * EACH; }
    static __device__ int row(int i) { return threadIdx.x / 4 + TENSOR_THREADS / 4 * i; }
    static __device__ int target(int i) { return place(row(0), threadIdx.x % 4) + TENSOR_THREADS / 4 * i * 64; }

    // Two rows are a line. From row to row + 8 nothing changes but the line.
    static __device__ int place(int row, int chunk) { return row * 64 + ((chunk ^ row / 2) & 3) * 16; }

    static __device__ void read(unsigned (&piece)[4], const char* slice, int first_row, int step, bool down_first) {
        int matrix = LANE / 8, row = down_first ? matrix % 2 : matrix / 2, chunk = down_first ? matrix / 2 : matrix % 2;
        load_matrices(piece, slice + place(row * 8 + LANE % 8, step * 2 + chunk) + first_row * 64);
    }
};

template <int TILE> struct AlongRows {
    static const int TOGETHER = TENSOR_THREADS / STEP, LENGTH = TILE * (int)sizeof(real);  // threads, bytes of one k
    static __device__ int k() { return threadIdx.x / TOGETHER; }
    static __device__ int row(int i) { return ((int)threadIdx.x % TOGETHER + TOGETHER * i) * EACH; }
    static __device__ int target(int i) { return place(k(), row(i) / EACH); }

    // Of k's last three bits the order is reversed: 0 4 2 6 1 5 3 7. So 8 rows k below one another are 8 places, as
    // bfloat16 is read; 4 rows by two chunks are 8, as TF32 is; and 2 or 4 rows by the chunks that are copied at once.
    static __device__ int place(int k, int chunk) {
        int turn = (k & 1) * 4 + (k & 2) + (k / 4 & 1);
        return k * LENGTH + (chunk ^ turn) * 16;
    }

    static __device__ void read(unsigned (&piece)[4], const char* slice, int first_row, int step, bool down_first) {
        if (EACH == 8) {
            int matrix = LANE / 8, row = down_first ? matrix % 2 : matrix / 2, k = down_first ? matrix / 2 : matrix % 2;
            load_turned_matrices(piece, slice + place(k * 8 + LANE % 8, first_row / 8 + row) + step * 16 * LENGTH);
        } else {                                 // nothing turns numbers of four bytes: one by one
#pragma unroll
            for (int matrix = 0; matrix < 4; matrix++) {
                int row = down_first ? matrix % 2 : matrix / 2, k = down_first ? matrix / 2 : matrix % 2;
                int at = place(k * 4 + LANE % 4, first_row / 4 + row * 2 + LANE / 16) + step * 8 * LENGTH;
                piece[matrix] = load_number(slice + at + LANE / 4 % 4 * 4);
            }
        }
    }
};

template <class Layout>
__device__ inline void read_piece(unsigned (&piece)[4], const char* slice, int first_row, int step, bool down_first) {
    Layout::read(piece, slice, first_row, step, down_first);
    if (EACH == 4)
#pragma unroll
        for (int matrix = 0; matrix < 4; matrix++) piece[matrix] = round_to_tf32(piece[matrix]);
}

// sum += what a slice adds to it
template <class A, class B> __device__ inline void add_products(const Stage& stage, Sums& sum) {
#pragma unroll
    for (int step = 0; step < 2; step++) {
        unsigned a[WARP_M / 16][4], b[WARP_N / 16][4];
#pragma unroll
        for (int i = 0; i < WARP_M / 16; i++) read_piece<A>(a[i], stage.a, FIRST_ROW + i * 16, step, true);
#pragma unroll
        for (int j = 0; j < WARP_N / 16; j++) read_piece<B>(b[j], stage.b, FIRST_COLUMN + j * 16, step, false);
#pragma unroll
        for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll
            for (int j = 0; j < WARP_N / 8; j++)
                multiply_add(real(), sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
}

// Sends for the thread's chunks of the next slice; the group is an empty one when there is none, so that counting
// groups is counting slices.
template <class A, class B> __device__ inline void send(A& a, B& b, Stage& stage, bool is_there) {
    if (is_there) {
        a.copy(stage.a), b.copy(stage.b);
        a.advance(), b.advance();
    }
    end_group();
}

// sum = the first `slices` slices of A times those of B. a.copy(slice) copies the thread's chunks of a slice, with zeros
// outside of the matrix; a.advance() goes on to the next.
template <class A, class B>
__device__ inline void multiply(A& a, B& b, int slices, Stage (&stages)[STAGES], Sums& sum) {
#pragma unroll
    for (int i = 0; i < WARP_M / 16; i++)
#pragma unroll
        for (int j = 0; j < WARP_N / 8; j++)
#pragma unroll
            for (int part = 0; part < 4; part++) sum[i][j][part] = 0.0f;
    for (int s = 0; s < STAGES - 1; s++) send(a, b, stages[s], s < slices);
    int full = 0, empty = STAGES - 1;            // the stages to read and to fill next
    for (int s = 0; s < slices; s++) {
        wait_for_groups<STAGES - 2>();           // slice s has come, so far as this thread has sent for it,
        __syncthreads();                         // and for all; and nobody reads slice s - 1 any more, whose stage
        send(a, b, stages[empty], s + STAGES - 1 < slices);                                      // is the empty one
        add_products<typename A::Layout, typename B::Layout>(stages[full], sum);
        empty = full;
        full = full + 1 < STAGES ? full + 1 : 0;
    }
    __syncthreads();                             // before the results are written there
}

// finish(row, column, numbers) for every EACH results that lie together in a row. They pass through shared memory, since
// those of a lane lie far apart: so neighbours write neighbours, 16 bytes or more each.
template <class Finish> __device__ inline void for_each_chunk(const Sums& sum, Shared& shared, Finish finish) {
    float (&results)[16][WARP_N + 8] = shared.results[WARP];
#pragma unroll
    for (int i = 0; i < WARP_M / 16; i++) {
#pragma unroll
        for (int j = 0; j < WARP_N / 8; j++)
#pragma unroll
            for (int part = 0; part < 4; part++)
                results[LANE / 4 + part / 2 * 8][j * 8 + LANE % 4 * 2 + part % 2] = sum[i][j][part];
        __syncwarp();
#pragma unroll 1
        for (int at = LANE * EACH; at < 16 * WARP_N; at += 32 * EACH) {
            int row = at / WARP_N, column = at % WARP_N;
            finish(FIRST_ROW + i * 16 + row, FIRST_COLUMN + column, &results[row][column]);
        }
        __syncwarp();
    }
}
