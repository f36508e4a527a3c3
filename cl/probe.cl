// SPDX-License-Identifier: Apache-2.0
// probe: what tells whether a device computes as SPEC.md's Exactness asks; src/device/exactness.c holds the same in C.
// Needs   : OpenCL C 1.2.  Numerics: exact

// out[op · count + i] for the operations below on a[i], b[i], c[i].
// NDRange : (any); each item strides over count
__kernel void probe_sites(__global const float *restrict a, __global const float *restrict b,
                          __global const float *restrict c, __global float *restrict out, int count)
{
    for (int i = get_global_id(0); i < count; i += get_global_size(0)) {
        const float x = a[i], y = b[i], z = c[i];
        out[i] = fma(x, y, z);
        out[count + i] = x + y;
        out[2 * count + i] = x - z;
        out[3 * count + i] = x * y;
        out[4 * count + i] = x * y + z; // two roundings
        out[5 * count + i] = stp_div(x, y);
        out[6 * count + i] = stp_exp(x);
        out[7 * count + i] = x < 0 ? 0 : x;
    }
}

// Chains of `length` fma, acc = fma(x[k], w[k][lane], acc) from 0, in vectors of 16, 8, 4 and 1 lanes: out[29].
// NDRange : (1)
__kernel void probe_chains(__global const float *restrict x, __global const float *restrict w,
                           __global float *restrict out, int length)
{
    float16 acc16 = 0;
    float8 acc8 = 0;
    float4 acc4 = 0;
    float acc = 0;
    for (int k = 0; k < length; k++) {
        acc16 = fma((float16)(x[k]), vload16(k, w), acc16);
        acc8 = fma((float8)(x[k]), vload8(2 * k, w), acc8);
        acc4 = fma((float4)(x[k]), vload4(4 * k, w), acc4);
        acc = fma(x[k], w[16 * k], acc);
    }
    vstore16(acc16, 0, out);
    vstore8(acc8, 2, out);
    vstore4(acc4, 6, out);
    out[28] = acc;
}
