// Convolution in its three passes as matrix products whose operands are read where they lie (implicit GEMM): NHWC
// images, weights (KH, KW, CG, F), any strides, padding, dilation and groups; group g reads CG = C/groups channels,
// writes FG = F/groups.
#include "common.cuh"
#include "tile.cuh"

#define NOWHERE (-(1 << 29))                     // a row that no window reaches

struct Geometry { int H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG; };

// A of forward: row (image, oh, ow), k (kh, kw, c) -> x[image, oh SH - top + kh DH, ow SW - left + kw DW, c]
struct Windows {
    using Places = AlongK;
    const float* x;
    Geometry g;
    int image[TM], ih[TM], iw[TM];

    __device__ Windows(const float* x, const Geometry& g, int first, int rows) : x(x), g(g) {
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
            values[i] = inside ? x[((image[i] + h) * g.W + w) * g.C + c] : 0.0f;
        }
    }
};

// B of forward: k, column f -> w[k, f], and of backward-weights: k (image, oh, ow), column f -> dy[k, f].  Rows of F
// numbers
struct Rows {
    using Places = AlongRows;
    const float* w;
    int F, f, columns;

    __device__ Rows(const float* w, int F, int first, int columns)
        : w(w), F(F), f(first + Places::row(0, TILE_N)), columns(columns) {}

    __device__ void fetch(int first, int last, float (&values)[TN]) {
#pragma unroll
        for (int i = 0; i < TN; i++) {
            int k = first + Places::k(i, TILE_N);
            values[i] = k < last && f < columns ? w[k * F + f] : 0.0f;
        }
    }
};

// A of backward-data: row (image, ih, iw), k (kh, kw, f) -> dy[image, oh, ow, f] of the window that has that pixel as
// its element (kh, kw): oh = (ih + top - kh DH)/SH, if that is whole
struct Covering {
    using Places = AlongK;
    const float* dy;
    Geometry g;
    int image[TM], ih[TM], iw[TM];

    __device__ Covering(const float* dy, const Geometry& g, int first, int rows) : dy(dy), g(g) {
        for (int i = 0; i < TM; i++) {
            int p = first + Places::row(i, TILE_M);
            image[i] = p / g.W / g.H * g.OH;
            ih[i] = p < rows ? p / g.W % g.H + g.top : NOWHERE;
            iw[i] = p % g.W + g.left;
        }
    }

    __device__ void fetch(int first, int last, float (&values)[TM]) {
        int k = first + Places::k(0, TILE_M), f = k % g.FG, kw = k / g.FG % g.KW * g.DW, kh = k / g.FG / g.KW * g.DH;
#pragma unroll
        for (int i = 0; i < TM; i++) {
            int h = ih[i] - kh, w = iw[i] - kw, oh = h / g.SH, ow = w / g.SW;
            bool inside = k < last && h >= 0 && oh * g.SH == h && oh < g.OH && w >= 0 && ow * g.SW == w && ow < g.OW;
            values[i] = inside ? dy[((image[i] + oh) * g.OW + ow) * g.F + f] : 0.0f;
        }
    }
};

// B of backward-data: k (kh, kw, f), column c -> w[kh, kw, c, f]
struct Turned {
    using Places = AlongK;
    const float* w;
    Geometry g;
    int first_column;

    __device__ Turned(const float* w, const Geometry& g, int first) : w(w), g(g), first_column(first) {}

    __device__ void fetch(int first, int last, float (&values)[TN]) {
        int k = first + Places::k(0, TILE_N), f = k % g.FG, tap = k / g.FG;
#pragma unroll
        for (int i = 0; i < TN; i++) {
            int c = first_column + Places::row(i, TILE_N);
            values[i] = k < last && c < g.CG ? w[(tap * g.CG + c) * g.F + f] : 0.0f;
        }
    }
};

// A of backward-weights: row (kh, kw, c), k (image, oh, ow) -> x[image, oh SH - top + kh DH, ow SW - left + kw DW, c]
struct Pixels {
    using Places = AlongRows;
    const float* x;
    Geometry g;
    int kh, kw, c;

    __device__ Pixels(const float* x, const Geometry& g, int first, int rows) : x(x), g(g) {
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
            values[i] = inside ? x[((image * g.H + h) * g.W + w) * g.C + c] : 0.0f;
        }
    }
};

// y (N OH OW, F) = activation(windows (N OH OW, KH KW CG) w (KH KW CG, F) + b).  Grid: row tiles, column tiles, groups
extern "C" __global__ void __launch_bounds__(256)
conv2d(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b, float* __restrict__ y,
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

// dx (N H W, C) = covering (N H W, KH KW FG) turned (KH KW FG, CG), for each group
extern "C" __global__ void __launch_bounds__(256)
conv2d_backward_data(const float* __restrict__ dy, const float* __restrict__ w, float* __restrict__ dx, int N, int H,
                     int W, int C, int OH, int OW, int F, int KH, int KW, int SH, int SW, int top, int left, int DH,
                     int DW, int CG, int FG) {
    __shared__ Tiles tiles;
    Geometry g = {H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG};
    int group = blockIdx.z, first_row = blockIdx.x * TILE_M, first_column = blockIdx.y * TILE_N, rows = N * H * W;
    Covering covering(dy + group * FG, g, first_row, rows);
    Turned weights(w + group * FG, g, first_column);
    float sum[TM][TN];
    multiply(covering, weights, 0, KH * KW * FG, tiles, sum);
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) {
            int row = first_row + own_row(i), c = first_column + own_column(j);
            if (row < rows && c < CG) dx[row * C + group * CG + c] = sum[i][j];
        }
}

// dw[share] (KH KW CG, F) = windowsᵀ (KH KW CG, pixels) dy (pixels, F) over `pixels` of the N OH OW, for each group.
// Grid: row tiles, column tiles, groups x shares; the shares are added afterwards, in their order.
extern "C" __global__ void __launch_bounds__(256)
conv2d_backward_weights(const float* __restrict__ dy, const float* __restrict__ x, float* __restrict__ dw, int N, int H,
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
