// What the convolutions share: their sizes, and the phases of their strides. NHWC images, weights (KH, KW, CG, F), any
// strides, padding, dilation and groups; group g reads CG = C/groups channels, writes FG = F/groups.
#pragma once
#define NOWHERE (-(1 << 29))                     // of a row beyond the last, so that it is outside of every image

struct Geometry { int H, W, C, OH, OW, F, KH, KW, SH, SW, top, left, DH, DW, CG, FG; };

// Of one axis, the pixels ≡ phase - before (mod S), and the taps that reach such a pixel, tap D ≡ phase (mod S): with
// strides most pairs of a pixel and a tap belong to no window, and these are those that do. Pixel first + S j is element
// tap + step t of window (window + j - down t), where that is one.
struct Phase {
    int first, pixels, tap, step, taps, window, down;

    __device__ Phase(int phase, int size, int before, int K, int S, int D) {
        first = (phase - before % S + S) % S;
        pixels = first < size ? (size - 1 - first) / S + 1 : 0;
        for (step = 1; step * D % S; step++) {}
        for (tap = 0; tap < step && tap * D % S != phase; tap++) {}
        taps = tap < min(step, K) ? (K - 1 - tap) / step + 1 : 0;
        window = (first + before - tap * D) / S;
        down = step * D / S;
    }
};
