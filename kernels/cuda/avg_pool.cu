// Average pooling: over sliding windows, over a fixed number of bins, over the whole image. A thread an element of the
// result.
#include "common.cuh"

// How many of the window's elements are counted on one axis: those inside the image, or with `padded` the padding's
// too, but never what overhangs that.
__device__ inline int counted(int start, int window, int size, int before, int after, int padded) {
    int first = padded ? -before : 0, end = padded ? size + after : size;
    return max(min(start + window, end) - max(start, first), 0);
}

// y = Σ over the window / the number of its elements, at least 1
extern "C" __global__ void avg_pool2d(const real* __restrict__ x, real* __restrict__ y, int n, int H, int W, int C,
                                      int OH, int OW, int KH, int KW, int SH, int SW, int top, int bottom, int left,
                                      int right, int count_include_pad) {
    FOR_EACH(i, n) {
        int c = i % C, ow = i / C % OW, oh = i / C / OW % OH, image = i / C / OW / OH;
        int row = oh * SH - top, column = ow * SW - left;
        float sum = 0.0f;
        for (int ih = max(row, 0); ih < min(row + KH, H); ih++)
            for (int iw = max(column, 0); iw < min(column + KW, W); iw++)
                sum += x[(((long long)image * H + ih) * W + iw) * C + c];
        int count = counted(row, KH, H, top, bottom, count_include_pad)
                  * counted(column, KW, W, left, right, count_include_pad);
        y[i] = sum / max(count, 1);
    }
}

// dx = Σ dy / the number of elements, over the windows that hold the element, in their order
extern "C" __global__ void avg_pool2d_backward(const real* __restrict__ dy, real* __restrict__ dx, int n, int H,
                                               int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int top,
                                               int bottom, int left, int right, int count_include_pad) {
    FOR_EACH(i, n) {
        int c = i % C, iw = i / C % W, ih = i / C / W % H, image = i / C / W / H;
        float sum = 0.0f;
        // The first window that reaches down to the element, and the last that begins above it.
        for (int oh = max(ih + top - KH + SH, 0) / SH; oh < OH && oh * SH <= ih + top; oh++)
            for (int ow = max(iw + left - KW + SW, 0) / SW; ow < OW && ow * SW <= iw + left; ow++) {
                int count = counted(oh * SH - top, KH, H, top, bottom, count_include_pad)
                          * counted(ow * SW - left, KW, W, left, right, count_include_pad);
                sum += dy[(((long long)image * OH + oh) * OW + ow) * C + c] / max(count, 1);
            }
        dx[i] = sum;
    }
}

// Bin i of `bins` covers the rows ⌊i size/bins⌋ to ⌈(i + 1) size/bins⌉ - 1.
__device__ inline int bin_start(int i, int size, int bins) { return (int)((long long)i * size / bins); }
__device__ inline int bin_end(int i, int size, int bins) {
    return (int)(((long long)(i + 1) * size + bins - 1) / bins);
}

// y[image, oh, ow, c] = the mean of x over the bin.  The whole image is a single bin.
extern "C" __global__ void adaptive_avg_pool2d(const real* __restrict__ x, real* __restrict__ y, int n, int H, int W,
                                               int C, int OH, int OW) {
    FOR_EACH(i, n) {
        int c = i % C, ow = i / C % OW, oh = i / C / OW % OH, image = i / C / OW / OH;
        int top = bin_start(oh, H, OH), bottom = bin_end(oh, H, OH);
        int left = bin_start(ow, W, OW), right = bin_end(ow, W, OW);
        float sum = 0.0f;
        for (int ih = top; ih < bottom; ih++)
            for (int iw = left; iw < right; iw++) sum += x[(((long long)image * H + ih) * W + iw) * C + c];
        y[i] = sum / ((bottom - top) * (right - left));
    }
}

// dx = Σ dy / the elements of the bin, over the bins that hold the element: i ends behind ih from ⌊ih bins/size⌋ on,
// and begins at or before ih up to ⌈(ih + 1) bins/size⌉ - 1
extern "C" __global__ void adaptive_avg_pool2d_backward(const real* __restrict__ dy, real* __restrict__ dx, int n,
                                                        int H, int W, int C, int OH, int OW) {
    FOR_EACH(i, n) {
        int c = i % C, iw = i / C % W, ih = i / C / W % H, image = i / C / W / H;
        float sum = 0.0f;
        for (int oh = bin_start(ih, OH, H); oh < bin_end(ih, OH, H); oh++)
            for (int ow = bin_start(iw, OW, W); ow < bin_end(iw, OW, W); ow++) {
                int rows = bin_end(oh, H, OH) - bin_start(oh, H, OH), columns = bin_end(ow, W, OW) - bin_start(ow, W, OW);
                sum += dy[(((long long)image * OH + oh) * OW + ow) * C + c] / (rows * columns);
            }
        dx[i] = sum;
    }
}
