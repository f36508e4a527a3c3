// SPDX-License-Identifier: Apache-2.0
// Tuning without a device: classes, the texts of its results, and what it tries, over known devices.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "device/tuned.h"
#include "known_devices.h"
#include "tune/candidates.h"

static const struct stp_conv_shape shapes[] = {
    {1, 64, 9, 64, 3136, 196}, {1, 3, 49, 64, 12544, 0}, {1, 2048, 1, 512, 49, 0},   {32, 8, 9, 8, 1000, 0},
    {64, 1, 9, 1, 5000, 0},    {1, 5, 3, 7, 1, 0},       {1, 512, 9, 512, 49, 4},    {1, 256, 1, 18, 4200, 0},
};

static void test_classes(void **state)
{
    (void)state;
    static const int64_t rows[][2] = {{1, 1}, {2, 2}, {3, 4}, {4096, 4096}, {4097, 8192}};
    for (size_t i = 0; i < STP_LENGTH(rows); i++) {
        const struct stp_conv_shape shape = {1, 64, 9, 64, rows[i][0], 25}, class = stp_conv_class(&shape);
        assert_int_equal(class.rows, rows[i][1]);
        assert_int_equal(class.winograd_tiles, 1);
    }
}

static void test_class_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < STP_LENGTH(shapes); i++) {
        const struct stp_conv_shape class = stp_conv_class(&shapes[i]);
        struct stp_conv_shape read;
        char text[STP_TUNED_TEXT];
        stp_conv_class_text(text, &class);
        assert_true(stp_conv_class_read(&read, text));
        assert_memory_equal(&read, &class, sizeof read);
    }
    static const char *const bad[] = {
        "",
        "conv",
        "conv groups 1 channels 64 taps 9 columns 64 rows 4096",
        "conv groups 1 channels 64 taps 9 columns 64 rows 4096 winograd 2",
        "conv groups 1 channels 64 taps 9 columns 64 rows 4095 winograd 1", // no power of two
        "conv groups 0 channels 64 taps 9 columns 64 rows 4096 winograd 1",
        "conv groups 1 channels -64 taps 9 columns 64 rows 4096 winograd 1",
        "conv groups 1 channels 064 taps 9 columns 64 rows 4096 winograd 1",
        "conv groups 1 channels 64 taps 9 columns 64 rows 4096 winograd 1 ",
        "conv groups 1 channels 99999999999999999999 taps 9 columns 64 rows 4096 winograd 1",
        "pool groups 1 channels 64 taps 9 columns 64 rows 4096 winograd 1",
    };
    for (size_t i = 0; i < STP_LENGTH(bad); i++) {
        struct stp_conv_shape read;
        assert_false(stp_conv_class_read(&read, bad[i]));
    }
}

static void test_choice_texts(void **state)
{
    (void)state;
    static const struct stp_conv_choice choices[] = {
        {.tile = {12, 16, 2, 16}},
        {.winograd = true, .tile = {7, 16, 4, 8}},
        {.local = {16, 16, 4, 8, 16, 1, 4, 2, 1056}},
    };
    for (size_t i = 0; i < STP_LENGTH(choices); i++) {
        struct stp_conv_choice read;
        char text[STP_TUNED_TEXT];
        stp_conv_choice_text(text, &choices[i]);
        assert_true(stp_conv_choice_read(&read, text));
        assert_true(stp_same_choice(&read, &choices[i]));
    }
    static const char *const bad[] = {"", "rows 12", "rows 12 vec 16 vecs 2 block 16 ", "winograd", "rows 12 vec 16 vecs 2 block 9999999999",
                                      "winograd across 16 down 16 columns 4 rows 8 depth 16 ahead 1 piece 4 unroll 2 groups 1056"};
    for (size_t i = 0; i < STP_LENGTH(bad); i++) {
        struct stp_conv_choice read;
        assert_false(stp_conv_choice_read(&read, bad[i]));
    }
}

static void test_entries(void **state)
{
    (void)state;
    const struct stp_tuned tuned = {.class = stp_conv_class(&shapes[0]), .choice = {.tile = {12, 16, 2, 16}}, .permille = 931};
    char subject[STP_TUNED_TEXT], value[STP_TUNED_TEXT], bad[STP_TUNED_TEXT];
    struct stp_tuned read;
    stp_tuned_subject(subject, &tuned.class);
    stp_tuned_value(value, &tuned);
    assert_true(stp_tuned_read(&read, subject, value));
    assert_memory_equal(&read.class, &tuned.class, sizeof read.class);
    assert_true(stp_same_choice(&read.choice, &tuned.choice));
    assert_int_equal(read.permille, 931);
    snprintf(bad, sizeof bad, "%s", subject);
    bad[0] = bad[0] == '0' ? '1' : '0'; // other kernels
    assert_false(stp_tuned_read(&read, bad, value));
    static const char *const values[] = {"", "rows 12 vec 16 vecs 2 block 16", "rows 12 vec 16 vecs 2 block 16: 0 permille",
                                         "rows 12 vec 16 vecs 2 block 16: 931 permille and more", ": 931 permille"};
    for (size_t i = 0; i < STP_LENGTH(values); i++)
        assert_false(stp_tuned_read(&read, subject, values[i]));
}

static void test_table(void **state)
{
    (void)state;
    struct stp_tuned_table table = {0};
    const struct stp_limits *limits = &known_devices[0].limits;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 1; i <= 100; i++) {
            const struct stp_conv_shape shape = {1, i, 9, 64, 4096, 0};
            assert_true(stp_tuned_put(&table, &(struct stp_tuned){.class = stp_conv_class(&shape), .permille = pass + 1}));
        }
    assert_int_equal(table.count, 100);
    const struct stp_conv_shape shape = {1, 50, 9, 64, 3000, 0}, other = {1, 50, 9, 64, 5000, 0};
    assert_int_equal(stp_tuned_find(&table, &shape)->permille, 2);
    assert_null(stp_tuned_find(&table, &other));
    // A choice that the device cannot run does not count.
    const struct stp_conv_choice untuned = stp_worksize_conv(limits, &shape), choice = stp_tuned_choose(&table, limits, &shape);
    assert_true(stp_same_choice(&choice, &untuned));
    free(table.items);
}

static void check_candidates(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_candidates *candidates)
{
    double last = 0;
    for (size_t i = 0; i < candidates->count; i++) {
        assert_true(stp_worksize_conv_fits(limits, shape, &candidates->items[i]));
        for (size_t j = 0; j < i; j++)
            assert_false(stp_same_choice(&candidates->items[i], &candidates->items[j]));
        const double estimate = stp_candidates_estimate(limits, shape, &candidates->items[i]);
        assert_true(estimate >= last); // the likeliest first
        last = estimate;
    }
}

// Everything that is tried can run; there is something to try; what is used without tuning can be tried, too.
static void test_candidates(void **state)
{
    (void)state;
    static struct stp_candidates few, all, near;
    static const struct stp_limits tiny = {
        .compute_units = 1, .max_work_group = 1, .max_work_item = {1, 1, 1}, .local_memory = 1 << 10, .vector_width = 1};
    stp_candidates_core(&few, &tiny, &shapes[2], false);
    assert_true(few.count > 0);
    check_candidates(&tiny, &shapes[2], &few);
    for (size_t d = 0; d < STP_LENGTH(known_devices); d++)
        for (size_t s = 0; s < STP_LENGTH(shapes); s++) {
            const struct stp_limits *limits = &known_devices[d].limits;
            struct stp_conv_shape shape = shapes[s];
            if (!limits->is_cpu)
                shape.winograd_tiles = 0; // as stp_winograd_tiles() has it
            print_message("%s, shape %zu\n", known_devices[d].name, s);
            const struct stp_conv_choice untuned = stp_worksize_conv(limits, &shape);
            assert_true(stp_worksize_conv_fits(limits, &shape, &untuned));
            stp_candidates_core(&few, limits, &shape, false);
            stp_candidates_core(&all, limits, &shape, true);
            stp_candidates_near(&near, limits, &shape, &untuned, false);
            assert_in_range(few.count, 1, all.count);
            check_candidates(limits, &shape, &few);
            check_candidates(limits, &shape, &all);
            check_candidates(limits, &shape, &near);
            for (size_t i = 0; i < near.count; i++)
                assert_false(stp_same_choice(&near.items[i], &untuned));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes), cmocka_unit_test(test_class_texts), cmocka_unit_test(test_choice_texts),
        cmocka_unit_test(test_entries), cmocka_unit_test(test_table),       cmocka_unit_test(test_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
