// Convolution in its three passes on the tensor cores: products of matrices whose operands are read where they lie
// (implicit GEMM), 16 bytes at a time, so that channels and filters of a group are multiples of EACH numbers. conv.cu
// has the same for all others. No address is divided for inside the loops: counters go from slice to slice.
#include "common.cuh"
#include "conv.cuh"
#include "tile_tensor.cuh"

// A number that is written with three wheels, (slow middles + middle) fasts + fast, and moves on by STEP.
struct Counter {
    int slow, middle, fast, middles, fasts, by_slow, by_middle, by_fast;

    __device__ Counter(int start, int middles, int fasts)
        : slow(start / fasts / middles), middle(start / fasts % middles), fast(start % fasts), middles(middles),
          fasts(fasts), by_slow(STEP / fasts / middles), by_middle(STEP / fasts % middles), by_fast(STEP % fasts) {}

    __device__ void advance() {
        fast += by_fast, middle += by_middle, slow += by_slow;
        if (fast >= fasts) fast -= fasts, middle++;
        if (middle >= middles) middle -= middles, slow++;
    }
};

// A of forward: row (image, oh, ow), k (tap, tap, channel) -> the image where that tap of the row's window is; and of
// backward-data, where the image is dy, and the windows of a phase's pixel are found going up and left.
struct Windows {
    using Layout = AlongK;
    const real* image;
    int H, W, C, down, across, taps;
    Counter k;
    int h[COPIES(TILE_M)], w[COPIES(TILE_M)], start[COPIES(TILE_M)];

    // rows of `across_rows` in a line, `down_rows` lines in an image; row (n, i, j) begins at pixel (h0 + i SH, w0 + j SW)
    __device__ Windows(const real* image, int H, int W, int C, int down, int across, int taps, Counter k, int first,
                       int rows, int down_rows, int across_rows, int h0, int w0, int SH, int SW)
        : image(image), H(H), W(W), C(C), down(down), across(across), taps(taps), k(k) {
#pragma unroll
        for (int i = 0; i < COPIES(TILE_M); i++) {
            int row = first + Layout::row(i), line = row / across_rows;
            h[i] = h0 + line % down_rows * SH, w[i] = w0 + row % across_rows * SW;
            start[i] = ((line / down_rows * H + h[i]) * W + w[i]) * C;
            if (row >= rows) h[i] = NOWHERE;
        }
    }

    __device__ void copy(char* slice) {
        int dh = k.slow * down, dw = k.middle * across, further = (dh * W + dw) * C + k.fast;
#pragma unroll
        for (int i = 0; i < COPIES(TILE_M); i++) {
            bool inside = k.slow < taps && (unsigned)(h[i] + dh) < H && (unsigned)(w[i] + dw) < W;
            copy_16_bytes(slice + Layout::target(i), image + (start[i] + further), inside);
        }
    }

    __device__ void advance() { k.advance(); }
};

// B of forward and of backward-weights: k, column -> matrix[k, column], rows of F numbers, columns < `columns`
struct Rows {
    using Layout = AlongRows<TILE_N>;
    const real* next;
    int F, columns, k, last;

    __device__ Rows(const real* matrix, int F, int first, int last, int first_column, int columns)
        : next(matrix + (long long)(first + Layout::k()) * F + first_column + Layout::row(0)), F(F),
          columns(columns - first_column), k(first + Layout::k()), last(last) {}

    __device__ void copy(char* slice) {
#pragma unroll
        for (int i = 0; i < COPIES(TILE_N); i++)
            copy_16_bytes(slice + Layout::target(i), next + Layout::row(i) - Layout::row(0),
                          k < last && Layout::row(i) < columns);
    }

    __device__ void advance() { next += STEP * F, k += STEP; }
};

// B of backward-data: k as the windows count it, column c -> w[kh, kw, c, f] of the phase's taps
struct Turned {
    using Layout = AlongK;
    const real* w;
    const Windows& windows;
    int down, across, F, columns;

    __device__ Turned(const real* w, const Windows& windows, const Geometry& g, const Phase& v, const Phase& h,
                      int first_column)
        : w(w + ((v.tap * g.KW + h.tap) * g.CG + first_column + Layout::row(0)) * g.F), windows(windows),
          down(v.step * g.KW * g.CG * g.F), across(h.step * g.CG * g.F), F(g.F),
          columns(g.CG - first_column - Layout::row(0)) {}

    __device__ void copy(char* slice) {
        const Counter& k = windows.k;
        const real* first = w + k.slow * down + k.middle * across + k.fast;
#pragma unroll
        for (int i = 0; i < COPIES(TILE_N); i++) {
            int apart = Layout::row(i) - Layout::row(0);
            copy_16_bytes(slice + Layout::target(i), first + apart * F, k.slow < windows.taps && apart < columns);
        }
    }

    __device__ void advance() {}
};

// A of backward-weights: row (kh, kw, c), k (image, oh, ow) -> x[image, oh SH - top + kh DH, ow SW - left + kw DW, c]
struct Pixels {
    using Layout = AlongRows<TILE_M>;
    const real* x;
    int N, H, W, C, SH, SW;
    Counter k;
    int h[COPIES(TILE_M)], w[COPIES(TILE_M)], start[COPIES(TILE_M)];

    __device__ Pixels(const real* x, int N, const Geometry& g, int first, int first_row, int rows)
        : x(x), N(N), H(g.H), W(g.W), C(g.C), SH(g.SH), SW(g.SW), k(first + Layout::k(), g.OH, g.OW) {
#pragma unroll
        for (int i = 0; i < COPIES(TILE_M); i++) {
            int row = first_row + Layout::row(i), tap = row / g.CG;
            h[i] = tap / g.KW * g.DH - g.top, w[i] = tap % g.KW * g.DW - g.left;
            start[i] = (h[i] * W + w[i]) * C + row % g.CG;
            if (row >= rows) h[i] = NOWHERE;
        }
    }

    __device__ void copy(char* slice) {
        int ih = k.middle * SH, iw = k.fast * SW, further = ((k.slow * H + ih) * W + iw) * C;
#pragma unroll
        for (int i = 0; i < COPIES(TILE_M); i++) {
            bool inside = k.slow < N && (unsigned)(h[i] + ih) < H && (unsigned)(w[i] + iw) < W;
            copy_16_bytes(slice + Layout::target(i), x + (start[i] + further), inside);
        }
    }

    __device__ void advance() { k.advance(); }
};

struct alignas(16) Chunk { real numbers[EACH]; };

// y = activation(sums + b) for EACH numbers that lie together; b may be null
__device__ inline void finish(real* y, const float* sums, const float* b, int activation) {
    Chunk chunk;
#pragma unroll
    for (int e = 0; e < EACH; e++) chunk.numbers[e] = activated(b ? sums[e] + b[e] : sums[e], activation);
    *reinterpret_cast<Chunk*>(y) = chunk;
}

__device__ inline void keep(float* partial, const float* sums) {
#pragma unroll
    for (int e = 0; e < EACH; e += 4)
        *reinterpret_cast<float4*>(partial + e) = *reinterpret_cast<const float4*>(sums + e);
}

// y (N OH OW, F) = activation(windows (N OH OW, KH KW CG) w (KH KW CG, F) + b). Grid: column tiles of all row
// tiles, groups x shares. With `partial` its k go in shares of so many, whose sums `conv2d_shares` puts together.
extern "C" __global__ void __launch_bounds__(128)
conv2d(const real* __restrict__ x, const real* __restrict__ w, const float* __restrict__ b,
       real* __restrict__ y, float* __restrict__ partial, int N, int H, int W, int C, int OH, int OW, int F, int KH,
       int KW, int SH, int SW, int top, int left, int DH, int DW, int CG, int FG, int activation, int share) {
    __shared__ Shared shared;
    int tiles = (FG + TILE_N - 1) / TILE_N, first_column = blockIdx.x % tiles * TILE_N, rows = N * OH * OW;
    int groups = C / CG, group = blockIdx.y % groups, first_row = blockIdx.x / tiles * TILE_M;
    int first = blockIdx.y / groups * share, last = min(first + share, KH * KW * CG);
    Windows windows(x + group * CG, H, W, C, DH, DW, KH, Counter(first + AlongK::k(), KW, CG), first_row, rows, OH, OW,
                    -top, -left, SH, SW);
    Rows weights(w + group * FG, F, first, last, first_column, FG);
    Sums sum;
    multiply(windows, weights, (last - first + STEP - 1) / STEP, shared.stages, sum);
    for_each_chunk(sum, shared, [&](int row, int column, const float* sums) {
        row += first_row, column += first_column;
        if (row >= rows || column >= FG) return;
        int f = group * FG + column, at = row * F + f;
        if (partial) keep(partial + (long long)(blockIdx.y / groups) * rows * F + at, sums);
        else finish(y + at, sums, b ? b + f : b, activation);
    });
}

// y = activation(Σ partial[share] + b), the shares in their order.  partial (shares, n), y (n/F, F); a chunk a thread
extern "C" __global__ void conv2d_shares(const float* __restrict__ partial, const float* __restrict__ b,
                                         real* __restrict__ y, int n, int F, int shares, int activation) {
    int at = (blockIdx.x * blockDim.x + threadIdx.x) * EACH;
    if (at >= n) return;
    alignas(16) float sums[EACH] = {};
    for (int share = 0; share < shares; share++)
#pragma unroll
        for (int e = 0; e < EACH; e++) sums[e] += partial[(long long)share * n + at + e];
    finish(y + at, sums, b ? b + at % F : b, activation);
}

// dx (N pixels, C) = covering (N pixels, taps FG) turned (taps FG, CG), for each group and each phase of the strides.
// Grid: column tiles of all row tiles of the largest phase, groups x SH x SW
extern "C" __global__ void __launch_bounds__(128)
conv2d_backward_data(const real* __restrict__ dy, const real* __restrict__ w, real* __restrict__ dx, int N, int H, int W,
                     int C, int OH, int OW, int F, int KH, int KW, int SH, int SW, int top, int left, int DH, int DW,
                     int CG, int FG) {
    __shared__ Shared shared;
    Geometry g = {H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG};
    int tiles = (CG + TILE_N - 1) / TILE_N, first_column = blockIdx.x % tiles * TILE_N;
    int groups = C / CG, group = blockIdx.y % groups, phase = blockIdx.y / groups, first_row = blockIdx.x / tiles * TILE_M;
    Phase v(phase / SW, H, top, KH, SH, DH), h(phase % SW, W, left, KW, SW, DW);
    int rows = N * v.pixels * h.pixels;
    if (first_row >= rows) return;
    Windows covering(dy + group * FG, OH, OW, F, -v.down, -h.down, v.taps, Counter(AlongK::k(), max(h.taps, 1), FG),
                     first_row, rows, v.pixels, h.pixels, v.window, h.window, 1, 1);
    Turned weights(w + group * FG, covering, g, v, h, first_column);
    Sums sum;
    multiply(covering, weights, (v.taps * h.taps * FG + STEP - 1) / STEP, shared.stages, sum);
    for_each_chunk(sum, shared, [&](int row, int column, const float* sums) {
        row += first_row, column += first_column;
        if (row >= rows || column >= CG) return;
        int line = row / h.pixels, ih = v.first + line % v.pixels * SH, iw = h.first + row % h.pixels * SW;
        int pixel = (line / v.pixels * H + ih) * W + iw;
        finish(dx + pixel * C + group * CG + column, sums, nullptr, LINEAR);
    });
}

// dw[share] (KH KW CG, F) = windowsᵀ (KH KW CG, pixels) dy (pixels, F) over `pixels` of the N OH OW, for each group.
// Grid: column tiles of all row tiles, groups x shares; the shares are added afterwards, in their order.
extern "C" __global__ void __launch_bounds__(128)
conv2d_backward_weights(const real* __restrict__ dy, const real* __restrict__ x, float* __restrict__ dw, int N, int H,
                        int W, int C, int OH, int OW, int F, int KH, int KW, int SH, int SW, int top, int left, int DH,
                        int DW, int CG, int FG, int pixels) {
    __shared__ Shared shared;
    Geometry g = {H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG};
    int tiles = (FG + TILE_N - 1) / TILE_N, first_column = blockIdx.x % tiles * TILE_N, rows = KH * KW * CG;
    int groups = C / CG, group = blockIdx.y % groups, share = blockIdx.y / groups, first_row = blockIdx.x / tiles * TILE_M;
    int first = share * pixels, last = min(first + pixels, N * OH * OW);
    Pixels windows(x + group * CG, N, g, first, first_row, rows);
    Rows gradients(dy + group * FG, F, first, last, first_column, FG);
    Sums sum;
    multiply(windows, gradients, (last - first + STEP - 1) / STEP, shared.stages, sum);
    for_each_chunk(sum, shared, [&](int row, int column, const float* sums) {
        row += first_row, column += first_column;
        if (row >= rows || column >= FG) return;
        keep(dw + ((long long)share * rows + row) * F + group * FG + column, sums);
    });
}

// wide[row, c] = narrow[row, c], and 0 from channel C on.  narrow (n/WIDE, C), wide (n/WIDE, WIDE)
extern "C" __global__ void fill_up(const real* __restrict__ narrow, real* __restrict__ wide, int n, int C, int WIDE) {
    FOR_EACH(i, n) {
        int c = i % WIDE;
        wide[i] = c < C ? (float)narrow[i / WIDE * C + c] : 0.0f;
    }
}
