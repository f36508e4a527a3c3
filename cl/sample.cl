// SPDX-License-Identifier: Apache-2.0
// sample: mask[n][y][x] = 1 on the grid or where the draw falls below sigmoid(logit); else 0 (SPEC.md, stipple.Sample).
// NDRange : 1-D, strides over N·H·W sites
// logits  : [N·H·W] f32; seeds: [1] or [N] i64; mask: [N·H·W] f32
// Tunables: none
// Needs   : OpenCL C 1.2.  Numerics: exact
__kernel void sample(__global const float *restrict logits, __global const long *restrict seeds, int n_seeds,
                     __global float *restrict mask, int sites, int h, int w, int stochastic, uint stream, int grid)
{
    for (int i = get_global_id(0); i < sites; i += get_global_size(0)) {
        const int s = i % (h * w), y = s / w, x = s % w;
        const float logit = logits[i];
        bool drawn = logit >= 0.0f;
        if (stochastic) {
            const uint key = (uint)seeds[n_seeds == 1 ? 0 : i / (h * w)];
            const uint r = stp_philox2x32((uint)s, stream, key);
            drawn = (float)(r >> 8) * 0x1p-24f < stp_sigmoid(logit);
        }
        if (grid > 0 && y % grid == 0 && x % grid == 0)
            drawn = true;
        mask[i] = drawn ? 1.0f : 0.0f;
    }
}
