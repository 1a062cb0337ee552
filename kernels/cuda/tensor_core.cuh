// The instructions of the tensor cores, and those that feed them, which tile_tensor.cuh uses: compute capability 8.0 and
// later (PTX ISA: "cp.async", "ldmatrix", "mma"). The tests' stand-in for a device has them in C++.
#pragma once
#ifndef CUDA_ON_THE_HOST

// 16 bytes on their way to shared memory, past the registers; zeros, and nothing is read, where `inside` is false. Both
// places are multiples of 16 bytes.
__device__ inline void copy_16_bytes(char* shared, const void* global, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned)__cvta_generic_to_shared(shared)), "l"(global), "r"(inside ? 16 : 0) : "memory");
}

// What this thread has copied since the last time is a group.
__device__ inline void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all of this thread's groups but the latest LATEST have come.
template <int LATEST>
__device__ inline void wait_for_groups() { asm volatile("cp.async.wait_group %0;" :: "n"(LATEST) : "memory"); }

// Four matrices of 8 rows of 16 bytes for the warp: lane l says where row l % 8 of matrix l / 8 begins, and receives
// bytes 4 (l % 4) and on of row l / 4 of each.
__device__ inline void load_matrices(unsigned (&four)[4], const char* shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(four[0]), "=r"(four[1]), "=r"(four[2]), "=r"(four[3])
                 : "r"((unsigned)__cvta_generic_to_shared(shared)) : "memory");
}

// The same for matrices of two-byte numbers, which are turned on the way: lane l receives the numbers of column l / 4 in
// rows 2 (l % 4) and one more.
__device__ inline void load_turned_matrices(unsigned (&four)[4], const char* shared) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(four[0]), "=r"(four[1]), "=r"(four[2]), "=r"(four[3])
                 : "r"((unsigned)__cvta_generic_to_shared(shared)) : "memory");
}

// A number of four bytes for each lane; from different banks all come at once.
__device__ inline unsigned load_number(const char* shared) { return *reinterpret_cast<const unsigned*>(shared); }

// To the nearest number of 11 bits of mantissa, ties away from zero; NaN and infinity stay.
__device__ inline unsigned round_to_tf32(unsigned bits) {
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "r"(bits));
    return rounded;
}

// sum (16, 8) += A (16, 16) B (16, 8) of bfloat16, by the whole warp
__device__ inline void multiply_add(bf16, float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// sum (16, 8) += A (16, 8) B (8, 8) of TF32, by the whole warp
__device__ inline void multiply_add(float, float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif
