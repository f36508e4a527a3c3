// SPDX-License-Identifier: Apache-2.0
// gemm: y[m][n] = c[m or 0][n] + Σ a[m][k] · b[k][n]
// NDRange : 1-D, strides over the M · ceil(N / 16) pieces of 16 columns
// a       : [M][K], or [K][M]; b: [ceil(N / 16)][K][16] f32, packed with zeros; c: [M or 1][ceil(N / 16) · 16] f32
// Needs   : OpenCL C 1.2.  Numerics: exact; one fma chain over k from c
__kernel void gemm(__global const float *restrict a, __global const float *restrict b, __global const float *restrict c,
                   __global float *restrict y, int m_size, int n_size, int k_size, int row_stride, int k_stride, int c_rows)
{
    const int panels = (n_size + 15) / 16;
    for (int i = get_global_id(0); i < m_size * panels; i += get_global_size(0)) {
        const int m = i / panels, panel = i % panels;
        __global const float *row = a + (size_t)m * row_stride, *weights = b + (size_t)panel * k_size * 16;
        float16 acc = vload16(panel, c + (size_t)(c_rows > 1 ? m : 0) * panels * 16);
        for (int k = 0; k < k_size; k++)
            acc = fma((float16)(row[(size_t)k * k_stride]), vload16(k, weights), acc);
        float part[16];
        vstore16(acc, 0, part);
        for (int n = 0; n < 16 && panel * 16 + n < n_size; n++)
            y[(size_t)m * n_size + panel * 16 + n] = part[n];
    }
}
