// SPDX-License-Identifier: Apache-2.0
// speed: what the device reaches at most, for src/device/speed.c: fma in registers; reading and writing memory.
// NDRange : from stp_worksize_stride(): on a CPU groups of one item
// Tunables: CHAINS_VEC {1, 2, 4, 8, 16}: floats of a register; VEC {4, 8, 16}: floats moved at once; RUNS: an item takes a run of
//           memory (CPU), else neighbours take neighbouring vectors
// Needs   : OpenCL C 1.2.  Numerics: none; the values stay normal
#if CHAINS_VEC == 1
#define CHAINS_T float
#define CHAINS_STORE(v, i, p) p[i] = v
#else
#define CHAINS_T STP_CAT(float, CHAINS_VEC)
#define CHAINS_STORE(v, i, p) STP_CAT(vstore, CHAINS_VEC)(v, i, p)
#endif
#define VT STP_CAT(float, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)

// Twelve chains: more than latency times throughput of an fma unit, and with the two operands still within 16 registers.
#define STEP(a) a = fma(a, factor, term)
#define ROUND                                                                                                          \
    STEP(a0);                                                                                                          \
    STEP(a1);                                                                                                          \
    STEP(a2);                                                                                                          \
    STEP(a3);                                                                                                          \
    STEP(a4);                                                                                                          \
    STEP(a5);                                                                                                          \
    STEP(a6);                                                                                                          \
    STEP(a7);                                                                                                          \
    STEP(a8);                                                                                                          \
    STEP(a9);                                                                                                          \
    STEP(aa);                                                                                                          \
    STEP(ab)

// out: [items][CHAINS_VEC]. 96 fma of CHAINS_VEC lanes each per round and item. With factor and term of 0.5 and 1 all chains
// tend to 2.
__kernel void speed_chains(__global float *out, float f, float t, int rounds)
{
    const CHAINS_T factor = f, term = t;
    CHAINS_T a0 = (float)get_global_id(0), a1 = a0 + term, a2 = a1 + term, a3 = a2 + term, a4 = a3 + term, a5 = a4 + term;
    CHAINS_T a6 = a5 + term, a7 = a6 + term, a8 = a7 + term, a9 = a8 + term, aa = a9 + term, ab = aa + term;
    for (int i = 0; i < rounds; i++) {
        ROUND;
        ROUND;
        ROUND;
        ROUND;
        ROUND;
        ROUND;
        ROUND;
        ROUND;
    }
    CHAINS_STORE(a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + aa + ab, get_global_id(0), out);
}

// x: [vectors][VEC], each read, changed and written in place, so that no line is fetched only to be overwritten.
__kernel void speed_update(__global float *x, float add, uint vectors)
{
    const uint items = (uint)get_global_size(0), item = (uint)get_global_id(0);
#ifdef RUNS
    const uint share = (vectors + items - 1) / items, first = item * share, step = 1;
    const uint last = min(first + share, vectors);
#else
    const uint first = item, step = items, last = vectors;
#endif
    for (uint i = first; i < last; i += step)
        VSTORE(VLOAD(i, x) + add, i, x);
}
