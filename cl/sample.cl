// SPDX-License-Identifier: Apache-2.0
// sample: mask[n][y][x] = 1 on the grid or where the draw falls below sigmoid(logit); else 0 (SPEC.md, stipple.Sample).
// NDRange : 1-D, strides over the N·H lines; a work-item computes a line
// logits  : [N·H·W] f32; seeds: [1] or [N] i64; mask: [N·H·W] f32
// Tunables: VEC {4, 8, 16}
// Needs   : OpenCL C 1.2.  Numerics: exact
#define VT STP_CAT(float, VEC)
#define UT STP_CAT(uint, VEC)
#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
STP_DEFINE_DIV(VEC)
STP_DEFINE_EXP(VEC)

// stp_philox2x32(), lane by lane.
static UT philox(UT c0, uint c1, uint key)
{
    UT other = (UT)(c1);
    for (int round = 0; round < 10; round++) {
        const UT hi = mul_hi((UT)(0xd256d193u), c0), lo = 0xd256d193u * c0;
        c0 = hi ^ key ^ other;
        other = lo;
        key += 0x9e3779b9u;
    }
    return c0;
}

__kernel void sample(__global const float *restrict logits, __global const long *restrict seeds, int n_seeds,
                     __global float *restrict mask, int lines, int h, int w, int stochastic, uint stream, int grid)
{
    UT lane;
    {
        uint numbers[VEC];
        for (int i = 0; i < VEC; i++)
            numbers[i] = i;
        lane = VLOAD(0, numbers);
    }
    for (int line = get_global_id(0); line < lines; line += get_global_size(0)) {
        const int y = line % h;
        const uint key = (uint)seeds[n_seeds == 1 ? 0 : line / h];
        __global const float *from = logits + (size_t)line * w;
        __global float *to = mask + (size_t)line * w;
        int x = 0;
        for (; x + VEC <= w; x += VEC) {
            const VT logit = VLOAD(0, from + x);
            VT draw = (VT)(0.0f), limit = logit; // drawn where draw < limit, or where logit ≥ 0
            if (stochastic) {
                const UT r = philox((uint)(y * w + x) + lane, stream, key) >> 8;
                draw = STP_CAT(convert_float, VEC)(r) * 0x1p-24f;
                limit = STP_CAT(stp_sigmoid, VEC)(logit);
            }
            VSTORE(select((VT)(0.0f), (VT)(1.0f), stochastic ? draw < limit : limit >= draw), 0, to + x);
        }
        for (; x < w; x++) {
            bool drawn = from[x] >= 0.0f;
            if (stochastic)
                drawn = (float)(stp_philox2x32((uint)(y * w + x), stream, key) >> 8) * 0x1p-24f < stp_sigmoid(from[x]);
            to[x] = drawn ? 1.0f : 0.0f;
        }
        if (grid > 0 && y % grid == 0)
            for (x = 0; x < w; x += grid)
                to[x] = 1.0f;
    }
}
