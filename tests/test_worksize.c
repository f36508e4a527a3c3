// SPDX-License-Identifier: Apache-2.0
// Work sizes and tiles keep within a device's limits, over known devices and made-up ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "device/worksize.h"
#include "known_devices.h"

// Smaller or odder than any that is known.
static const struct known_device made_up[] = {
    {"CPU, groups of 1", {.is_cpu = true, .compute_units = 1, .max_work_group = 1, .max_work_item = {1, 1, 1},
                          .local_memory = 32 << 10, .vector_width = 1}},
    {"GPU, groups of 64", {.compute_units = 8, .max_work_group = 64, .max_work_item = {64, 64, 64},
                           .local_memory = 32 << 10, .vector_width = 4}},
    {"GPU, 16 KiB local", {.compute_units = 4, .max_work_group = 1024, .max_work_item = {1024, 1024, 64},
                           .local_memory = 16 << 10, .vector_width = 1}},
    {"GPU, 1 KiB local", {.compute_units = 1, .max_work_group = 128, .max_work_item = {128, 2, 1},
                          .local_memory = 1 << 10, .vector_width = 1}},
    {"large GPU", {.compute_units = 132, .max_work_group = 1024, .max_work_item = {1024, 1024, 64},
                   .local_memory = 48 << 10, .vector_width = 1}},
};

enum { KNOWN = STP_LENGTH(known_devices), DEVICES = KNOWN + STP_LENGTH(made_up) };

static const struct known_device *device_at(size_t index)
{
    return index < KNOWN ? &known_devices[index] : &made_up[index - KNOWN];
}

static const int64_t sizes[] = {1, 2, 3, 4, 8, 9, 16, 17, 18, 24, 25, 32, 64, 65, 1000, 1 << 20};

static void test_stride(void **state)
{
    (void)state;
    for (size_t d = 0; d < DEVICES; d++)
        for (size_t i = 0; i < STP_LENGTH(sizes); i++) {
            const struct stp_limits *limits = &device_at(d)->limits;
            struct stp_worksize size = stp_worksize_stride(limits, sizes[i]);
            print_message("%s, %lld items\n", device_at(d)->name, (long long)sizes[i]);
            assert_true(size.local >= 1 && size.local <= limits->max_work_group && size.local <= limits->max_work_item[0]);
            assert_true(size.global >= size.local && size.global % size.local == 0);
            assert_true(size.global <= (size_t)sizes[i] + size.local); // no group without work
            struct stp_scan_size scan = stp_worksize_scan(limits, sizes[i]);
            assert_true(scan.pieces >= 1 && scan.pieces <= sizes[i]);
            assert_true(scan.local >= 1 && scan.local <= limits->max_work_group && (scan.local & (scan.local - 1)) == 0);
            assert_true(!limits->is_cpu || (scan.local == 1 && scan.alone == (limits->compute_units <= 4 || sizes[i] <= 1 << 15)));
            // As cl/lists.cl declares them: sums, of, listed.
            assert_true(!scan.alone || limits->is_cpu || (scan.pieces == 1 && scan.local > 1 && 24 * (int64_t)scan.local >= sizes[i] &&
                                        scan.local * (4 + 2 * 24) <= limits->local_memory));
            struct stp_transpose_size transpose = stp_worksize_transpose(limits, 2, sizes[i], 100);
            assert_true(transpose.side == 0 || !limits->is_cpu);
            assert_true(transpose.local[0] * transpose.local[1] <= limits->max_work_group);
            assert_true((size_t)transpose.side * (size_t)(transpose.side + 1) * 8 <= limits->local_memory);
            struct stp_group_size group = stp_worksize_group(limits, 100, sizes[i]);
            assert_true(group.local[0] * group.local[1] <= limits->max_work_group && group.local[1] <= limits->max_work_item[1]);
            assert_true(group.global[0] == group.local[0] && group.global[1] % group.local[1] == 0);
        }
}

static void test_register_tile(void **state)
{
    (void)state;
    for (size_t d = 0; d < DEVICES; d++)
        for (size_t i = 0; i < 2 * STP_MAKERS * STP_LENGTH(sizes); i++) {
            struct stp_limits limits = device_at(d)->limits;
            limits.maker = i / 2 % STP_MAKERS;
            const size_t s = i / (2 * STP_MAKERS);
            const struct stp_conv_shape shape = {1, 64, i % 2 ? 1 : 9, sizes[s], sizes[(s + 5) % STP_LENGTH(sizes)], 0};
            struct stp_tile tile = stp_worksize_conv_rows(&limits, &shape);
            int columns = tile.vec * tile.vecs;
            assert_true(tile.rows >= 1 && tile.vecs >= 1 && tile.block >= 1 && tile.block <= 16);
            assert_true(tile.vec == 4 || tile.vec == 8 || tile.vec == 16);
            // Not twice as wide as need be.
            assert_true(columns <= 4 || columns < 2 * sizes[s] || sizes[s] > 16);
        }
}

static struct stp_conv_choice winograd(const struct stp_limits *limits, int64_t in_channels, int64_t out_channels, int64_t sites,
                                       int64_t tiles)
{
    // tiles: a GPU has none, stp_winograd_tiles()
    const struct stp_conv_shape shape = {1, in_channels, 9, out_channels, sites, limits->is_cpu ? tiles : 0};
    const struct stp_conv_choice choice = stp_worksize_conv(limits, &shape);
    assert_true(stp_worksize_conv_fits(limits, &shape, &choice));
    return choice;
}

static bool winograd_wins(const struct stp_limits *limits, int64_t in_channels, int64_t out_channels, int64_t sites, int64_t tiles)
{
    return winograd(limits, in_channels, out_channels, sites, tiles).winograd;
}

static void test_winograd(void **state)
{
    (void)state;
    for (size_t d = 0; d < DEVICES; d++) {
        const struct stp_limits *limits = &device_at(d)->limits;
        const int64_t tiles_of_56 = 14 * 14, tiles_of_7 = 2 * 2;
        assert_int_equal(winograd_wins(limits, 64, 64, 56 * 56, tiles_of_56), limits->is_cpu);
        assert_false(winograd_wins(limits, 512, 512, 7 * 7, tiles_of_7)); // weights are read for one register tile
        assert_false(winograd_wins(limits, 64, 64, 200, 200));            // a line one pixel wide
        assert_false(winograd_wins(limits, 3, 64, 56 * 56, tiles_of_56));
        assert_false(winograd_wins(limits, 64, 65, 56 * 56, tiles_of_56));
        for (size_t i = 0; i < STP_LENGTH(sizes); i++) {
            const struct stp_tile tile = {.rows = 12, .vec = 16, .vecs = 2, .block = 4};
            int64_t batch = stp_worksize_winograd_batch(&tile, 64, 64, sizes[i]);
            assert_true(batch >= 1 && batch <= sizes[i]);
            assert_true(batch == sizes[i] || batch % tile.rows == 0); // whole register tiles but for the last batch
        }
    }
}

static bool is_power_of_two(int value)
{
    return value > 0 && (value & (value - 1)) == 0;
}

static void check_local_tile(const struct stp_limits *limits, const struct stp_conv_shape *shape)
{
    static const int most_pieces[STP_MAKERS] = {[STP_MAKER_OTHER] = 4, [STP_MAKER_AMD] = 4, [STP_MAKER_INTEL] = 2, [STP_MAKER_NVIDIA] = 8};
    struct stp_local_tile tile = stp_worksize_conv_tile(limits, shape);
    size_t across = (size_t)tile.across, down = (size_t)tile.down, depth = (size_t)tile.depth;
    assert_true(is_power_of_two(tile.across) && is_power_of_two(tile.down) && is_power_of_two(tile.rows));
    assert_true(is_power_of_two(tile.columns) && is_power_of_two(tile.depth) && is_power_of_two(tile.unroll));
    assert_true(tile.groups >= 1 && tile.ahead >= 1 && tile.ahead <= 2 && tile.unroll <= tile.depth);
    assert_true(across * down <= limits->max_work_group);
    assert_true(across <= limits->max_work_item[0] && down <= limits->max_work_item[1]);
    assert_true(tile.piece == 1 || (tile.piece == 4 && shape->channels % 4 == 0));
    assert_true(depth % (size_t)tile.piece == 0 && depth / (size_t)tile.piece <= across * down);
    assert_true(tile.piece == 4 || tile.depth == 1 || tile.rows * tile.depth <= most_pieces[limits->maker] * tile.across);
    // As cl/conv_tile.cl declares them: two of a, with padding, and of b.
    size_t width = down * (size_t)tile.rows + 4 + across * (size_t)tile.columns;
    assert_true(2 * depth * width * 4 <= limits->local_memory);
}

static void test_local_tile(void **state)
{
    (void)state;
    for (size_t d = 0; d < DEVICES; d++)
        for (int maker = 0; maker < STP_MAKERS; maker++) {
            struct stp_limits limits = device_at(d)->limits;
            limits.maker = (enum stp_maker)maker;
            print_message("%s, maker %d\n", device_at(d)->name, maker);
            for (size_t i = 0; i < STP_LENGTH(sizes); i++)
                for (size_t r = 0; r < STP_LENGTH(sizes); r++) {
                    const struct stp_conv_shape shape = {1, sizes[i], 9, sizes[(i + 3) % STP_LENGTH(sizes)], sizes[r], 0};
                    check_local_tile(&limits, &shape);
                }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stride),
        cmocka_unit_test(test_register_tile),
        cmocka_unit_test(test_winograd),
        cmocka_unit_test(test_local_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
