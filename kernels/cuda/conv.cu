// Convolution in its three passes as matrix products whose operands are read where they lie (implicit GEMM), in float32,
// for any number of channels. conv_tensor.cu is the faster one, with conditions.
#include "common.cuh"
#include "conv.cuh"
#include "tile.cuh"

// A of forward: row (image, oh, ow), k (kh, kw, c) -> x[image, oh SH - top + kh DH, ow SW - left + kw DW, c]
struct Windows {
    using Places = AlongK;
    const real* x;
    Geometry g;
    int image[TM], ih[TM], iw[TM];

    __device__ Windows(const real* x, const Geometry& g, int first, int rows) : x(x), g(g) {
        for (int i = 0; i < TM; i++) {
            int p = first + Places::row(i, TILE_M), ow = p % g.OW, oh = p / g.OW % g.OH;
            image[i] = p / g.OW / g.OH * g.H;
            ih[i] = p < rows ? oh * g.SH - g.top : NOWHERE;
            iw[i] = ow * g.SW - g.left;
        }
    }

    __device__ void fetch(int first, int last, float (&values)[TM]) {
        int k = first + Places::k(0, TILE_M), c = k % g.CG, kw = k / g.CG % g.KW * g.DW, kh = k / g.CG / g.KW * g.DH;
#pragma unroll
        for (int i = 0; i < TM; i++) {
            int h = ih[i] + kh, w = iw[i] + kw;
            bool inside = k < last && h >= 0 && h < g.H && w >= 0 && w < g.W;
            values[i] = inside ? (float)x[((image[i] + h) * g.W + w) * g.C + c] : 0.0f;
        }
    }
};

// B of forward: k, column f -> w[k, f], and of backward-weights: k (image, oh, ow), column f -> dy[k, f].  Rows of F
// numbers
struct Rows {
    using Places = AlongRows;
    const real* w;
    int F, f, columns;

    __device__ Rows(const real* w, int F, int first, int columns)
        : w(w), F(F), f(first + Places::row(0, TILE_N)), columns(columns) {}

    __device__ void fetch(int first, int last, float (&values)[TN]) {
#pragma unroll
        for (int i = 0; i < TN; i++) {
            int k = first + Places::k(i, TILE_N);
            values[i] = k < last && f < columns ? (float)w[k * F + f] : 0.0f;
        }
    }
};

// A of backward-data: row (image, j, i) of a phase, k (t, u, f) -> dy[image, oh, ow, f] of the window whose element (t, u)
// the pixel is
struct Covering {
    using Places = AlongK;
    const real* dy;
    Geometry g;
    Phase h, w;
    int image[TM], oh[TM], ow[TM];

    __device__ Covering(const real* dy, const Geometry& g, const Phase& h, const Phase& w, int first, int rows)
        : dy(dy), g(g), h(h), w(w) {
        for (int i = 0; i < TM; i++) {
            int p = first + Places::row(i, TILE_M);
            image[i] = p / w.pixels / h.pixels * g.OH;
            oh[i] = p < rows ? h.window + p / w.pixels % h.pixels : NOWHERE;
            ow[i] = w.window + p % w.pixels;
        }
    }

    __device__ void fetch(int first, int last, float (&values)[TM]) {
        int k = first + Places::k(0, TILE_M), f = k % g.FG;
        int up = k / g.FG / max(w.taps, 1) * h.down, left = k / g.FG % max(w.taps, 1) * w.down;
#pragma unroll
        for (int i = 0; i < TM; i++) {
            int y = oh[i] - up, x = ow[i] - left;
            bool inside = k < last && y >= 0 && y < g.OH && x >= 0 && x < g.OW;
            values[i] = inside ? (float)dy[((image[i] + y) * g.OW + x) * g.F + f] : 0.0f;
        }
    }
};

// B of backward-data: k (t, u, f), column c -> w[kh, kw, c, f] of the phase's taps
struct Turned {
    using Places = AlongK;
    const real* w;
    Geometry g;
    Phase h, v;
    int first_column;

    __device__ Turned(const real* w, const Geometry& g, const Phase& h, const Phase& v, int first)
        : w(w), g(g), h(h), v(v), first_column(first) {}

    __device__ void fetch(int first, int last, float (&values)[TN]) {
        int k = first + Places::k(0, TILE_N), f = k % g.FG;
        int kh = h.tap + k / g.FG / max(v.taps, 1) * h.step, kw = v.tap + k / g.FG % max(v.taps, 1) * v.step;
#pragma unroll
        for (int i = 0; i < TN; i++) {
            int c = first_column + Places::row(i, TILE_N);
            values[i] = k < last && c < g.CG ? (float)w[((kh * g.KW + kw) * g.CG + c) * g.F + f] : 0.0f;
        }
    }
};

// A of backward-weights: row (kh, kw, c), k (image, oh, ow) -> x[image, oh SH - top + kh DH, ow SW - left + kw DW, c]
struct Pixels {
    using Places = AlongRows;
    const real* x;
    Geometry g;
    int kh, kw, c;

    __device__ Pixels(const real* x, const Geometry& g, int first, int rows) : x(x), g(g) {
        int row = first + Places::row(0, TILE_M);
        c = row % g.CG;
        kw = row / g.CG % g.KW * g.DW - g.left;
        kh = row < rows ? row / g.CG / g.KW * g.DH - g.top : NOWHERE;
    }

    __device__ void fetch(int first, int last, float (&values)[TM]) {
#pragma unroll
        for (int i = 0; i < TM; i++) {
            int p = first + Places::k(i, TILE_M), image = p / g.OW / g.OH;
            int h = p / g.OW % g.OH * g.SH + kh, w = p % g.OW * g.SW + kw;
            bool inside = p < last && h >= 0 && h < g.H && w >= 0 && w < g.W;
            values[i] = inside ? (float)x[((image * g.H + h) * g.W + w) * g.C + c] : 0.0f;
        }
    }
};

// y (N OH OW, F) = activation(windows (N OH OW, KH KW CG) w (KH KW CG, F) + b).  Grid: row tiles, column tiles, groups
extern "C" __global__ void __launch_bounds__(256)
conv2d(const real* __restrict__ x, const real* __restrict__ w, const float* __restrict__ b, real* __restrict__ y,
       int N, int H, int W, int C, int OH, int OW, int F, int KH, int KW, int SH, int SW, int top, int left, int DH,
       int DW, int CG, int FG, int activation) {
    __shared__ Tiles tiles;
    Geometry g = {H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG};
    int group = blockIdx.z, first_row = blockIdx.x * TILE_M, first_column = blockIdx.y * TILE_N, rows = N * OH * OW;
    Windows windows(x + group * CG, g, first_row, rows);
    Rows weights(w + group * FG, F, first_column, FG);
    float sum[TM][TN];
    multiply(windows, weights, 0, KH * KW * CG, tiles, sum);
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int row = first_row + own_row(i), f = first_column + own_column(j);
            if (row < rows && f < FG)
                y[row * F + group * FG + f] = activated(b ? sum[i][j] + b[group * FG + f] : sum[i][j], activation);
        }
}

// dx (N pixels, C) = covering (N pixels, taps FG) turned (taps FG, CG), for each group and each phase of the strides.
// Grid: row tiles of the largest phase, column tiles, groups x SH x SW
extern "C" __global__ void __launch_bounds__(256)
conv2d_backward_data(const real* __restrict__ dy, const real* __restrict__ w, real* __restrict__ dx, int N, int H,
                     int W, int C, int OH, int OW, int F, int KH, int KW, int SH, int SW, int top, int left, int DH,
                     int DW, int CG, int FG) {
    __shared__ Tiles tiles;
    Geometry g = {H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG};
    int groups = C / CG, group = blockIdx.z % groups, phase = blockIdx.z / groups;
    Phase vertical(phase / SW, H, top, KH, SH, DH), horizontal(phase % SW, W, left, KW, SW, DW);
    int first_row = blockIdx.x * TILE_M, first_column = blockIdx.y * TILE_N, rows = N * vertical.pixels * horizontal.pixels;
    if (first_row >= rows) return;
    Covering covering(dy + group * FG, g, vertical, horizontal, first_row, rows);
    Turned weights(w + group * FG, g, vertical, horizontal, first_column);
    float sum[TM][TN];
    multiply(covering, weights, 0, vertical.taps * horizontal.taps * FG, tiles, sum);
#pragma unroll
    for (int i = 0; i < TM; i++) {
        int row = first_row + own_row(i), column = row % horizontal.pixels, line = row / horizontal.pixels;
        int ih = vertical.first + line % vertical.pixels * SH, iw = horizontal.first + column * SW;
        int pixel = (line / vertical.pixels * H + ih) * W + iw;
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int c = first_column + own_column(j);
            if (row < rows && c < CG) dx[pixel * C + group * CG + c] = sum[i][j];
        }
    }
}

// dw[share] (KH KW CG, F) = windowsᵀ (KH KW CG, pixels) dy (pixels, F) over `pixels` of the N OH OW, for each group.
// Grid: row tiles, column tiles, groups x shares; the shares are added afterwards, in their order.
extern "C" __global__ void __launch_bounds__(256)
conv2d_backward_weights(const real* __restrict__ dy, const real* __restrict__ x, float* __restrict__ dw, int N, int H,
                        int W, int C, int OH, int OW, int F, int KH, int KW, int SH, int SW, int top, int left, int DH,
                        int DW, int CG, int FG, int pixels) {
    __shared__ Tiles tiles;
    Geometry g = {H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG};
    int groups = C / CG, group = blockIdx.z % groups, share = blockIdx.z / groups, rows = KH * KW * CG;
    int first_row = blockIdx.x * TILE_M, first_column = blockIdx.y * TILE_N;
    Pixels windows(x + group * CG, g, first_row, rows);
    Rows gradients(dy + group * FG, F, first_column, FG);
    float sum[TM][TN];
    multiply(windows, gradients, share * pixels, min((share + 1) * pixels, N * OH * OW), tiles, sum);
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int row = first_row + own_row(i), f = first_column + own_column(j);
            if (row < rows && f < FG) dw[((long long)share * rows + row) * F + group * FG + f] = sum[i][j];
        }
}
