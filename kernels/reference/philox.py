"""Philox4x32-10, a counter-based random generator: random words as a function of their position.

Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", sec. 3.3. No
state passes from one word to the next, so any number of threads, on any device, draws the same words.
"""

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85          # the golden ratio and √3 - 1, in 32 bits
ROUNDS = 10
WORD = 0xFFFFFFFF


def philox4x32(counter, key):
    """Four random 32-bit words for each counter: a block cipher of 10 rounds, four words at a time.

    counter: four uint64 arrays of one shape, of 32-bit words; key: two 32-bit ints -> four uint64 arrays.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]    # 64 bits hold 32 x 32 exactly
        high0, low0 = product0 >> 32, product0 & WORD
        high1, low1 = product1 >> 32, product1 & WORD
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + KEY_STEPS[0]) & WORD, (k1 + KEY_STEPS[1]) & WORD
    return c0, c1, c2, c3
