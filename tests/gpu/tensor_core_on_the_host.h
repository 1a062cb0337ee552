// The instructions of kernels/cuda/tensor_core.cuh for cuda_on_the_host.h. As strict as a device may be: what a copy
// brings is there after the wait for its group and not before (the place is NaN until then), and only the thread that
// copied it may know: others need a barrier. What is read at once from one bank is refused: a swizzle that has been
// forgotten costs no digit, but time.
struct bf16;

namespace host {
struct Copy { char* to; const void* from; bool inside; };
struct Copies { Copy all[128]; unsigned count, groups[8], group_count; unsigned long block; };
struct Factors { unsigned a[4], b[2]; };
static Copies copies[MOST];
static const char* places[2][MOST];
static Factors factors[2][MOST];
static unsigned rounds[MOST];                    // what a thread has written to places or factors, so far

// Two sides take turns: who writes to one of them knows that all have read it two barriers ago.
inline unsigned side() { return rounds[current]++ % 2; }

inline Copies& own_copies() {
    Copies& own = copies[current];
    if (own.block != blocks_run) own.count = own.group_count = 0, own.block = blocks_run;
    return own;
}

inline void need(bool is_so, const char* words) { if (!is_so) fail(words); }

inline float of_bf16(unsigned pair, unsigned half) { return __int_as_float(half ? pair & 0xffff0000u : pair << 16); }

inline const char* row_of(unsigned side, unsigned matrix, unsigned row) {
    return places[side][current / 32 * 32 + matrix * 8 + row];
}

// Puts down this lane's address of `bytes`; all are there afterwards. The addresses of this lane and of those whose 128
// bytes come at the same time have to be in different banks.
inline unsigned exchange(const char* shared, unsigned bytes) {
    need((size_t)shared % bytes == 0, "an address in shared memory is not aligned");
    unsigned s = side(), together = 128 / bytes, first = current / together * together, taken = 0;
    places[s][current] = shared;
    wait(AT_WARP_BARRIER);
    for (unsigned i = first; i < first + together; i++) taken |= 1u << (size_t)places[s][i] / bytes % together;
    need(taken == 0xffffffffu >> (32 - together), "what is read at once is in the same banks");
    return s;
}
}  // namespace host

inline void copy_16_bytes(char* shared, const void* global, bool inside) {
    host::need((size_t)shared % 16 == 0 && (!inside || (size_t)global % 16 == 0), "a copy of 16 bytes that are not aligned");
    memset(shared, 0xff, 16);
    host::Copies& own = host::own_copies();
    host::need(own.count < 128, "more than 128 copies of a thread under way");
    own.all[own.count++] = {shared, global, inside};
}

inline void end_group() {
    host::Copies& own = host::own_copies();
    host::need(own.group_count < 8, "more than 8 groups of copies under way");
    own.groups[own.group_count++] = own.count;
}

template <int LATEST> inline void wait_for_groups() {
    host::Copies& own = host::own_copies();
    if (own.group_count <= LATEST) return;
    unsigned done = own.group_count - LATEST, count = own.groups[done - 1];
    for (unsigned i = 0; i < count; i++)
        own.all[i].inside ? memcpy(own.all[i].to, own.all[i].from, 16) : memset(own.all[i].to, 0, 16);
    for (unsigned i = count; i < own.count; i++) own.all[i - count] = own.all[i];
    for (unsigned i = done; i < own.group_count; i++) own.groups[i - done] = own.groups[i] - count;
    own.count -= count, own.group_count -= done;
}

inline void load_matrices(unsigned (&four)[4], const char* shared) {
    unsigned s = host::exchange(shared, 16), lane = host::current % 32;
    for (unsigned matrix = 0; matrix < 4; matrix++) memcpy(&four[matrix], host::row_of(s, matrix, lane / 4) + lane % 4 * 4, 4);
}

inline void load_turned_matrices(unsigned (&four)[4], const char* shared) {
    unsigned s = host::exchange(shared, 16), lane = host::current % 32;
    for (unsigned matrix = 0; matrix < 4; matrix++)
        for (unsigned half = 0; half < 2; half++)
            memcpy((char*)&four[matrix] + half * 2, host::row_of(s, matrix, lane % 4 * 2 + half) + lane / 4 * 2, 2);
}

inline unsigned load_number(const char* shared) {
    host::exchange(shared, 4);
    return *(const unsigned*)shared;
}

// To 11 bits of mantissa, ties away from zero.
inline unsigned round_to_tf32(unsigned bits) {
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return is_nan ? bits : (bits + 0x1000u) & ~0x1fffu;
}

namespace host {
// sum (16, 8) += A (16, K) B (K, 8), where lane t's own results are in rows t / 4 and 8 more, columns 2 (t % 4) and one
// more. PER numbers are in a register: A(row, k) is in register row / 8 + 2 (k / 4 PER) of lane 4 (row % 8) + k / PER % 4,
// B(k, column) in register k / 4 PER of lane 4 column + k / PER % 4.
template <unsigned PER, class Number>
inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Number number) {
    unsigned warp = current / 32 * 32, t = current % 32, s = side();
    factors[s][current] = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
    wait(AT_WARP_BARRIER);
    const Factors* lanes = &factors[s][warp];
    for (unsigned own = 0; own < 4; own++) {
        unsigned row = t / 4 + own / 2 * 8, column = t % 4 * 2 + own % 2;
        for (unsigned k = 0; k < 8 * PER; k++)
            sum[own] += number(lanes[row % 8 * 4 + k / PER % 4].a[row / 8 + k / (4 * PER) * 2], k % PER)
                      * number(lanes[column * 4 + k / PER % 4].b[k / (4 * PER)], k % PER);
    }
}
}  // namespace host

inline void multiply_add(const bf16&, float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    host::multiply_add<2>(sum, a, b0, b1, host::of_bf16);
}

// The tensor cores do not look at the last 13 bits.
inline void multiply_add(float, float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    host::multiply_add<1>(sum, a, b0, b1, [](unsigned bits, unsigned) { return __int_as_float(bits & ~0x1fffu); });
}
