// SPDX-License-Identifier: Apache-2.0
// Row lists without atomics: the sites of a mask, or those that a window at another list's sites reads, in raster order.
// Two launches of `pieces` work-groups, each with its contiguous share of the sites: the first counts, the second writes behind
// what the pieces before it counted. Or one launch of one group, list_mask or list_need, for up to EACH · LOCAL sites, and for list_need as many
// of the list given.
// NDRange : (pieces · LOCAL), local (LOCAL)
// mask    : [1 or N][H·W] T, non-zero where a site is sampled
// flags   : [sites] uchar, 1 where a site belongs to the list; counts: [pieces] i32
// rows    : [≤ sites] i32; inverse: [sites] i32, −1 where a site is not listed; total: [1] i32
// A list longer than `most` becomes the identity: total = sites, and rows and inverse are not written (lower.h: not read either).
// Tunables: T mask type (float, int, long, uchar); LOCAL items of a group, a power of two, 1 on CPUs; VEC {4, 8, 16}, of CPUs
//           ALONE 1: list_mask and list_need
// Needs   : OpenCL C 1.2; local memory LOCAL · 4 bytes, of list_mask and list_need LOCAL · EACH more.  Numerics: none

#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define INTS STP_CAT(int, VEC)

// The sum of the values of the items up to this one, itself included; `sums` then ends with that of all. For all items of a group at once.
static int sum_before(__local int *sums, int value)
{
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE); // what was there is read
    sums[item] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int step = 1; step < LOCAL; step *= 2) {
        const int more = item >= step ? sums[item - step] : 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        sums[item] += more;
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    return sums[item];
}

static int sum_all(__local int *sums, int value)
{
    sum_before(sums, value);
    return sums[LOCAL - 1];
}

__kernel void flag_mask(__global const T *restrict mask, int mask_sites, __global uchar *restrict flags,
                        __global int *restrict counts, int sites, int pieces)
{
    __local int sums[LOCAL];
    const int2 share = stp_share_of(sites, pieces, get_group_id(0));
    int count = 0;
    for (int s = share.x + get_local_id(0); s < share.y; s += LOCAL) {
        const uchar flag = mask[mask_sites == sites ? s : s % mask_sites] != 0;
        flags[s] = flag;
        count += flag;
    }
    count = sum_all(sums, count);
    if (get_local_id(0) == 0)
        counts[get_group_id(0)] = count;
}

// at / stride, or -1 where that is no whole number from 0 to size - 1.
static int step_of(int at, int stride, int size)
{
    if (stride != 1 && at >= 0) { // a division costs more than all the rest
        if (at % stride)
            return -1;
        at /= stride;
    }
    return at < size ? at : -1;
}

// window: H, W, OH, OW, KH, KW, stride y x, dilation y x, pad y x; (H, W) of the list to make, (OH, OW) of the list given.
__kernel void flag_need(__global const int *restrict of_inverse, __global const int *restrict of_count, int of_sites,
                        __global uchar *restrict flags, __global int *restrict counts, int sites, int pieces, int16 window)
{
    __local int sums[LOCAL];
    const int h = window.s0, w = window.s1, oh = window.s2, ow = window.s3;
    const int of_listed = of_count[0] < of_sites;
    const int2 share = stp_share_of(sites, pieces, get_group_id(0));
    int count = 0;
    INTS counted = (INTS)(0);
    for (int s = share.x + get_local_id(0); s < share.y; s += LOCAL) {
        const int x = s % w, y = s / w % h, n = s / w / h;
        // Neighbouring sites side by side, where their windows stay on their lines: a site belongs to the list unless all are negative.
        const int right = x + window.sb, left = right - (window.s5 - 1) * window.s9;
        if (LOCAL == 1 && of_listed && window.s6 == 1 && window.s7 == 1 && s + VEC <= share.y && x + VEC <= w && left >= 0 && right + VEC <= ow) {
            INTS both = (INTS)(-1);
            for (int ky = 0; ky < window.s4; ky++) {
                const int ty = y + window.sa - ky * window.s8;
                for (int tx = right; tx >= left && ty >= 0 && ty < oh; tx -= window.s9)
                    both &= VLOAD(0, of_inverse + (n * oh + ty) * ow + tx);
            }
            const INTS ones = ~both >> 31 & 1;
            VSTORE(STP_CAT(convert_uchar, VEC)(ones), 0, flags + s);
            counted += ones;
            s += VEC - 1;
            continue;
        }
        uchar flag = 0;
        for (int ky = 0; ky < window.s4 && !flag; ky++) {
            const int ty = step_of(y + window.sa - ky * window.s8, window.s6, oh);
            for (int kx = 0; kx < window.s5 && ty >= 0 && !flag; kx++) {
                const int tx = step_of(x + window.sb - kx * window.s9, window.s7, ow);
                flag = tx >= 0 && (!of_listed || of_inverse[(n * oh + ty) * ow + tx] >= 0);
            }
        }
        flags[s] = flag;
        count += flag;
    }
    int lanes[VEC];
    VSTORE(counted, 0, lanes);
    for (int i = 0; i < VEC; i++)
        count += lanes[i];
    count = sum_all(sums, count);
    if (get_local_id(0) == 0)
        counts[get_group_id(0)] = count;
}

__kernel void write_list(__global const uchar *restrict flags, __global const int *restrict counts,
                         __global int *restrict rows, __global int *restrict inverse, __global int *restrict total,
                         int sites, int pieces, int most)
{
    __local int sums[LOCAL];
    const int p = get_group_id(0), item = get_local_id(0);
    int before = 0, all = 0;
    for (int i = item; i < pieces; i += LOCAL) {
        before += i < p ? counts[i] : 0;
        all += counts[i];
    }
    before = sum_all(sums, before);
    all = sum_all(sums, all);
    if (p == 0 && item == 0)
        total[0] = all > most ? sites : all;
    if (all > most)
        return;
    const int2 share = stp_share_of(sites, pieces, p);
    for (int first = share.x; first < share.y; first += LOCAL) {
        const int s = first + item, flag = s < share.y && flags[s];
        const int row = before + sum_before(sums, flag) - 1;
        if (s < share.y)
            inverse[s] = flag ? row : -1;
        if (flag)
            rows[row] = s;
        before += sums[LOCAL - 1];
    }
}

#if ALONE
#define EACH 24 // sites of an item

// listed: of each site, whether the list holds it.
static void write_listed(__local const uchar *listed, __local int *sums, __global int *rows, __global int *inverse, __global int *total,
                         int sites, int most)
{
    const int2 share = stp_share_of(sites, LOCAL, get_local_id(0));
    int count = 0;
    for (int s = share.x; s < share.y; s++)
        count += listed[s];
    const int before = sum_before(sums, count) - count, all = sums[LOCAL - 1];
    if (get_local_id(0) == 0)
        total[0] = all > most ? sites : all;
    if (all > most)
        return;
    for (int s = share.x, row = before; s < share.y; s++) {
        inverse[s] = listed[s] ? row : -1;
        if (listed[s])
            rows[row++] = s;
    }
}

__kernel void list_mask(__global const T *restrict mask, int mask_sites, __global int *restrict rows,
                        __global int *restrict inverse, __global int *restrict total, int sites, int most)
{
    __local int sums[LOCAL];
    __local uchar listed[LOCAL * EACH];
#pragma unroll 4
    for (int s = get_local_id(0); s < sites; s += LOCAL)
        listed[s] = mask[mask_sites == sites ? s : s % mask_sites] != 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    write_listed(listed, sums, rows, inverse, total, sites, most);
}

__kernel void list_need(__global const int *restrict of_inverse, __global const int *restrict of_count, int of_sites,
                        __global int *restrict rows, __global int *restrict inverse, __global int *restrict total, int sites,
                        int most, int16 window)
{
    __local int sums[LOCAL];
    __local uchar of[LOCAL * EACH], listed[LOCAL * EACH];
    const int of_listed = of_count[0] < of_sites;
#pragma unroll 4
    for (int s = get_local_id(0); s < of_sites; s += LOCAL)
        of[s] = !of_listed || of_inverse[s] >= 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int s = get_local_id(0); s < sites; s += LOCAL) {
        const int line = s / window.s1, x = s - line * window.s1, n = line / window.s0, y = line - n * window.s0;
        uchar flag = 0;
        for (int ky = 0; ky < window.s4; ky++) {
            const int ty = step_of(y + window.sa - ky * window.s8, window.s6, window.s2);
            for (int kx = 0; kx < window.s5 && ty >= 0; kx++) {
                const int tx = step_of(x + window.sb - kx * window.s9, window.s7, window.s3);
                if (tx >= 0)
                    flag |= of[(n * window.s2 + ty) * window.s3 + tx];
            }
        }
        listed[s] = flag;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    write_listed(listed, sums, rows, inverse, total, sites, most);
}
#endif
