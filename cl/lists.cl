// SPDX-License-Identifier: Apache-2.0
// Row lists without atomics: the sites of a mask, or those that windows at the sites of another list read, in raster order.
// lists: up to three at once, each of a mask or of windows at a mask's sites, a work-group each.
// flag_mask or flag_need, then write_list: one in two launches of `pieces` work-groups, each with its contiguous share of the sites: the first
// counts, the second writes behind what the pieces before it counted.
// NDRange : (groups · LOCAL), local (LOCAL)
// mask    : [1 or N][H·W] T, non-zero where a site is sampled
// flags   : [sites] uchar, 1 where a site belongs to the list; counts: [pieces] i32; of lists, where LOCAL is 1: `room` per list
// rows    : [sites] i32, of which the first `total` count; inverse: [sites] i32, −1 where a site is not listed; total: [1] i32
// job     : sites, most, mask_sites, of_most; of windows, otherwise KH is 0: H, W of the list to make, OH, OW of that where windows are, KH, KW,
//           stride y x, dilation y x, pad y x
// A list longer than `most` becomes the identity: total = sites, and rows and inverse are not written (lower.h: not read either). The list of a
// mask that windows are at likewise, beyond `of_most`.
// Tunables: T mask type (float, int, long, uchar); LOCAL items of a group, a power of two, 1 on CPUs; VEC {4, 8, 16}, of CPUs
//           ALONE 1: lists, where LOCAL is not 1 of up to EACH · LOCAL sites, also of the mask that windows are at
// Needs   : OpenCL C 1.2; local memory LOCAL · 4 bytes, of lists with a larger LOCAL than 1 LOCAL · EACH · 2 more.  Numerics: none

#define VLOAD STP_CAT(vload, VEC)
#define VSTORE STP_CAT(vstore, VEC)
#define UCHARS STP_CAT(uchar, VEC)

#define SITES job.s0
#define MOST job.s1
#define MASK_SITES job.s2
#define OF_MOST job.s3
#define H job.s4
#define W job.s5
#define OH job.s6
#define OW job.s7
#define KH job.s8
#define KW job.s9
#define STRIDE_Y job.sa
#define STRIDE_X job.sb
#define DILATION_Y job.sc
#define DILATION_X job.sd
#define PAD_Y job.se
#define PAD_X job.sf

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

__kernel void flag_mask(__global const T *restrict mask, __global uchar *restrict flags,
                        __global int *restrict counts, int pieces, int16 job)
{
    __local int sums[LOCAL];
    const int2 share = stp_share_of(SITES, pieces, get_group_id(0));
    int count = 0;
    for (int s = share.x + get_local_id(0); s < share.y; s += LOCAL) {
        const uchar flag = mask[MASK_SITES == SITES ? s : s % MASK_SITES] != 0;
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

__kernel void flag_need(__global const int *restrict of_inverse, __global const int *restrict of_count, int of_sites,
                        __global uchar *restrict flags, __global int *restrict counts, int pieces, int16 job)
{
    __local int sums[LOCAL];
    const int of_listed = of_count[0] < of_sites;
    const int2 share = stp_share_of(SITES, pieces, get_group_id(0));
    int count = 0;
    for (int s = share.x + get_local_id(0); s < share.y; s += LOCAL) {
        const int line = s / W, x = s - line * W, n = line / H, y = line - n * H;
        uchar flag = 0;
        for (int ky = 0; ky < KH && !flag; ky++) {
            const int ty = step_of(y + PAD_Y - ky * DILATION_Y, STRIDE_Y, OH);
            for (int kx = 0; kx < KW && ty >= 0 && !flag; kx++) {
                const int tx = step_of(x + PAD_X - kx * DILATION_X, STRIDE_X, OW);
                flag = tx >= 0 && (!of_listed || of_inverse[(n * OH + ty) * OW + tx] >= 0);
            }
        }
        flags[s] = flag;
        count += flag;
    }
    count = sum_all(sums, count);
    if (get_local_id(0) == 0)
        counts[get_group_id(0)] = count;
}

__kernel void write_list(__global const uchar *restrict flags, __global const int *restrict counts,
                         __global int *restrict rows, __global int *restrict inverse, __global int *restrict total,
                         int pieces, int16 job)
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
        total[0] = all > MOST ? SITES : all;
    if (all > MOST)
        return;
    const int2 share = stp_share_of(SITES, pieces, p);
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
#if LOCAL == 1
#define ROOM __global
#else
#define ROOM __local
#endif

// Flags where the mask is not 0.
static void flag_sampled(__global const T *mask, int mask_sites, ROOM uchar *flags, int sites)
{
    int s = get_local_id(0);
#if LOCAL == 1
    for (; mask_sites == sites && s + VEC <= sites; s += VEC) {
        const UCHARS ones = STP_CAT(convert_uchar, VEC)(VLOAD(0, mask + s) != (STP_CAT(T, VEC))(0)) & (UCHARS)(1);
        VSTORE(ones, 0, flags + s);
    }
#endif
#pragma unroll 4
    for (; s < sites; s += LOCAL)
        flags[s] = mask[mask_sites == sites ? s : s % mask_sites] != 0;
    barrier(CLK_LOCAL_MEM_FENCE);
}

// How many of this item's share of the sites are flagged.
static int count_flagged(ROOM const uchar *flags, int sites)
{
    const int2 share = stp_share_of(sites, LOCAL, get_local_id(0));
    int count = 0;
    for (int s = share.x; s < share.y; s++)
        count += flags[s];
    return count;
}

// Whether a window at a flagged site reads site (y, x) of image n.
static uchar is_read(ROOM const uchar *of, int n, int y, int x, int16 job)
{
    uchar flag = 0;
    for (int ky = 0; ky < KH; ky++) {
        const int ty = step_of(y + PAD_Y - ky * DILATION_Y, STRIDE_Y, OH);
        for (int kx = 0; kx < KW && ty >= 0; kx++) {
            const int tx = step_of(x + PAD_X - kx * DILATION_X, STRIDE_X, OW);
            if (tx >= 0)
                flag |= of[(n * OH + ty) * OW + tx];
        }
    }
    return flag;
}

#if LOCAL == 1
// A line of the list, where windows have a stride of 1: neighbouring sites side by side, as long as their windows stay on their lines.
static void flag_line(ROOM const uchar *of, ROOM uchar *line, int n, int y, int16 job)
{
    for (int x = 0; x < W;) {
        const int right = x + PAD_X, left = right - (KW - 1) * DILATION_X;
        if (x + VEC > W || left < 0 || right + VEC > OW) {
            line[x] = is_read(of, n, y, x, job);
            x++;
            continue;
        }
        UCHARS any = (UCHARS)(0);
        for (int ky = 0; ky < KH; ky++) {
            const int ty = y + PAD_Y - ky * DILATION_Y;
            for (int tx = right; tx >= left && ty >= 0 && ty < OH; tx -= DILATION_X)
                any |= VLOAD(0, of + (n * OH + ty) * OW + tx);
        }
        VSTORE(any, 0, line + x);
        x += VEC;
    }
}

// The sites in this line of the list that windows at a line of flagged sites read: those from `left` on, and so on.
static void spread_line(ROOM const uchar *of, ROOM uchar *line, int16 job)
{
    for (int ox = 0, left = -PAD_X; ox < OW; ox++, left += STRIDE_X)
        for (int kx = 0, x = left; of[ox] && kx < KW; kx++, x += DILATION_X)
            if (x >= 0 && x < W)
                line[x] = 1;
}
#endif

// Flags what windows at the sites flagged in `of` read.
static void flag_read(ROOM const uchar *of, ROOM uchar *flags, int16 job)
{
#if LOCAL == 1
    for (int number = 0; number < SITES / W; number++) {
        ROOM uchar *line = flags + number * W;
        const int n = number / H, y = number - n * H;
        if (STRIDE_Y == 1 && STRIDE_X == 1) {
            flag_line(of, line, n, y, job);
            continue;
        }
        for (int x = 0; x < W; x++)
            line[x] = 0;
        for (int ky = 0; ky < KH; ky++) {
            const int ty = step_of(y + PAD_Y - ky * DILATION_Y, STRIDE_Y, OH);
            if (ty >= 0)
                spread_line(of + (n * OH + ty) * OW, line, job);
        }
    }
#else
    for (int s = get_local_id(0); s < SITES; s += LOCAL) {
        const int line = s / W, n = line / H;
        flags[s] = is_read(of, n, line - n * H, s - line * W, job);
    }
#endif
}

__kernel void lists(__global const T *mask0, __global const T *mask1, __global const T *mask2, __global int *rows0,
                    __global int *inverse0, __global int *total0, __global int *rows1, __global int *inverse1, __global int *total1,
                    __global int *rows2, __global int *inverse2, __global int *total2, __global uchar *flags, int room, int16 job0,
                    int16 job1, int16 job2)
{
    __local int sums[LOCAL];
    const int group = get_group_id(0);
    __global const T *mask = group == 0 ? mask0 : group == 1 ? mask1 : mask2;
    __global int *rows = group == 0 ? rows0 : group == 1 ? rows1 : rows2;
    __global int *inverse = group == 0 ? inverse0 : group == 1 ? inverse1 : inverse2;
    __global int *total = group == 0 ? total0 : group == 1 ? total1 : total2;
    int16 job = job0;
    if (group)
        job = group == 1 ? job1 : job2;
#if LOCAL == 1
    __global uchar *listed = flags + (size_t)group * room, *of = listed + room / 2;
#else
    __local uchar listed[LOCAL * EACH], of[LOCAL * EACH];
#endif
    if (KH) {
        const int of_sites = SITES / (H * W) * OH * OW;
        flag_sampled(mask, MASK_SITES, of, of_sites);
        if (sum_all(sums, count_flagged(of, of_sites)) > OF_MOST)
            for (int s = get_local_id(0); s < of_sites; s += LOCAL)
                of[s] = 1;
        barrier(CLK_LOCAL_MEM_FENCE);
        flag_read(of, listed, job);
        barrier(CLK_LOCAL_MEM_FENCE);
    } else {
        flag_sampled(mask, MASK_SITES, listed, SITES);
    }
    const int count = count_flagged(listed, SITES), before = sum_before(sums, count) - count, all = sums[LOCAL - 1];
    if (get_local_id(0) == 0)
        total[0] = all > MOST ? SITES : all;
    if (all > MOST)
        return;
    const int2 share = stp_share_of(SITES, LOCAL, get_local_id(0));
    for (int s = share.x, row = before; s < share.y; s++) {
        inverse[s] = listed[s] ? row : -1;
        if (LOCAL == 1 || listed[s]) // one item may write a number too many, which the next one overwrites
            rows[row] = s;
        row += listed[s];
    }
}
#endif
