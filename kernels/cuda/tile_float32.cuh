// The products of a tile's slice in float32, by the ordinary units: a thread has TM x TN of the results, and reads its
// rows and columns in vectors of four, TM x TN products for TM + TN numbers.
#pragma once

__device__ inline float rounded(float value) { return value; }

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

// sum += what the slice adds to it
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
