// Enough of CUDA for g++ to compile a kernel, and for one thread to run it: the blocks one after the other, the threads
// of a block as coroutines that hand over at barriers. Finds wrong indices, wrong grids, missing barriers (the schedule
// can run backwards), shared memory that is read before it is written (it starts as NaN) and addresses that are not
// aligned for what is read there. Not a model of speed or memory order.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

// What kernels use of <cmath>, which takes longer to compile than most of them.
extern "C" float expf(float), fabsf(float), fmaf(float, float, float), fmaxf(float, float), log1pf(float), logf(float),
    powf(float, float), sqrtf(float), tanhf(float);
extern "C" double expm1(double), log1p(double);

#define CUDA_ON_THE_HOST
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory")))
extern "C" char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));

struct dim3 { unsigned x, y, z; };
struct uint3 { unsigned x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
static dim3 gridDim, blockDim;
static uint3 blockIdx, threadIdx;

inline float __int_as_float(int bits) { float value; memcpy(&value, &bits, 4); return value; }
inline int __float_as_int(float value) { int bits; memcpy(&bits, &value, 4); return bits; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }

namespace host {
enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
struct Thread { State state; bool begun; uint3 index; jmp_buf place; };
const unsigned MOST = 1024;                      // threads in a block
const size_t STACK = 64 * 1024;
static Thread threads[MOST];
alignas(64) static char stacks[MOST][STACK];
static float exchanged[MOST];
static jmp_buf scheduler;
static unsigned count, current;                  // threads in this block, and whose turn it is
static unsigned long blocks_run;
static void (*body)(const void*);
static const void* of_body;

// Not swapcontext(), which asks the system for the signals' mask each time.
__attribute__((noinline)) inline void hand_over(jmp_buf& from, jmp_buf& to) {
    if (!_setjmp(from)) _longjmp(to, 1);
}

inline void wait(State barrier) {
    threads[current].state = barrier;
    hand_over(threads[current].place, scheduler);
}

// A coroutine runs the same thread of every block.
inline void run_thread() {
    for (;;) body(of_body), wait(DONE);
}

__attribute__((noinline)) inline void begin(Thread& thread, char* stack) {
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK;
    makecontext(&context, run_thread, 0);
    thread.begun = true;
    if (!_setjmp(scheduler)) setcontext(&context);
}

inline void fail(const char* words) {
    fprintf(stderr, "block (%u, %u, %u): %s\n", blockIdx.x, blockIdx.y, blockIdx.z, words);
    abort();
}

// Lets the warp go on if all of it has come to a barrier of its own.
inline bool release_warp(unsigned first, unsigned end) {
    unsigned arrived = 0;
    for (unsigned t = first; t < end; t++) arrived += threads[t].state == AT_WARP_BARRIER;
    if (arrived && arrived < end - first) fail("only a part of a warp has come to a shuffle");
    for (unsigned t = first; arrived && t < end; t++) threads[t].state = READY;
    return arrived;
}

// Lets all threads go on, who are at the barrier of the block. False when they have ended.
inline bool release_block() {
    unsigned done = 0;
    for (unsigned t = 0; t < count; t++) done += threads[t].state == DONE;
    if (done == count) return false;
    if (done) fail("a thread ended while others wait at __syncthreads");
    for (unsigned t = 0; t < count; t++) threads[t].state = READY;
    return true;
}

inline void run_warp(unsigned first, unsigned end, bool backwards) {
    for (unsigned turn = first; turn < end; turn++) {
        current = backwards ? end - 1 - (turn - first) : turn;
        Thread& thread = threads[current];
        if (thread.state != READY) continue;
        threadIdx = thread.index;
        if (thread.begun) hand_over(scheduler, thread.place);
        else begin(thread, stacks[current]);
    }
}

// A warp goes as far as it can, to a barrier of the block, before the next has its turn: what it reads of others without
// one is not there yet.
inline void run_block(bool backwards) {
    blocks_run++;
    memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
    for (unsigned t = 0; t < count; t++) threads[t].state = READY;
    unsigned warps = (count + 31) / 32;
    do {
        for (unsigned turn = 0; turn < warps; turn++) {
            unsigned first = (backwards ? warps - 1 - turn : turn) * 32, end = min((int)first + 32, (int)count);
            do run_warp(first, end, backwards);
            while (release_warp(first, end));
        }
    } while (release_block());
}

// What g++ has put before each load and store (-fsanitize=alignment) raises SIGILL; another processor's g++ SIGTRAP.
inline void not_aligned(int) { fail("what is read or written at once is not aligned"); }

template <class Kernel> void launch(dim3 grid, dim3 block, bool backwards, const Kernel& kernel) {
    unsigned blocks = grid.x * grid.y * grid.z;
    count = block.x * block.y * block.z;
    if (count > MOST) fail("more than 1024 threads in a block");
    gridDim = grid, blockDim = block;
    auto on_ill = signal(SIGILL, not_aligned), on_trap = signal(SIGTRAP, not_aligned);
    body = [](const void* it) { (*(const Kernel*)it)(); }, of_body = &kernel;
    for (unsigned t = 0; t < count; t++) threads[t].index = {t % block.x, t / block.x % block.y, t / block.x / block.y};
    for (unsigned turn = 0; turn < blocks; turn++) {
        unsigned b = backwards ? blocks - 1 - turn : turn;
        blockIdx = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
        run_block(backwards);
    }
    signal(SIGILL, on_ill), signal(SIGTRAP, on_trap);
}
}  // namespace host

inline void __syncthreads() { host::wait(host::AT_BLOCK_BARRIER); }
inline void __syncwarp() { host::wait(host::AT_WARP_BARRIER); }

inline float __shfl_xor_sync(unsigned, float value, int other) {
    host::exchanged[host::current] = value;
    host::wait(host::AT_WARP_BARRIER);
    float theirs = host::exchanged[host::current ^ other];
    host::wait(host::AT_WARP_BARRIER);
    return theirs;
}
