// SPDX-License-Identifier: Apache-2.0
// tools/fit.c and tools/resize.c: metadata, sizes, and the pixels of the input against the definition of the
// resampling.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fit.h"

static struct stp_image make_photo(int width, int height)
{
    struct stp_error error;
    struct stp_image photo;
    assert_true(stp_image_alloc(&photo, (uint32_t)width, (uint32_t)height, UINT64_MAX, "photo", &error));
    uint32_t random = (uint32_t)(width * 31 + height);
    for (int i = 0; i < width * height * 3; i++) {
        random = random * 1664525 + 1013904223;
        photo.rgb[i] = (uint16_t)(random >> 16);
    }
    return photo;
}

static struct stp_fit_rules parse(const char *order, const char *mean, const char *std, const char *resize)
{
    struct stp_error error;
    struct stp_fit_rules rules;
    if (!stp_fit_rules_parse(&rules, order, mean, std, resize, &error))
        fail_msg("%s", error.text);
    return rules;
}

static void refuse(const char *order, const char *mean, const char *std, const char *resize, const char *key)
{
    struct stp_error error = {0};
    struct stp_fit_rules rules;
    if (stp_fit_rules_parse(&rules, order, mean, std, resize, &error))
        fail_msg("accepted, where this was wanted: %s", key);
    assert_non_null(strstr(error.text, key));
}

static void test_metadata(void **state)
{
    (void)state;
    struct stp_fit_rules rules = parse(NULL, NULL, NULL, NULL);
    assert_true(!rules.bgr && !rules.resize && rules.mean[2] == 0 && rules.std[2] == 1);
    rules = parse("BGR", "0.485,0.456,0.406", "1,2, 0.5", "shorter=1000,longer=1600,multiple=32");
    assert_true(rules.bgr && rules.resize && rules.mean[1] == 0.456f && rules.std[2] == 0.5f);
    assert_true(rules.shorter == 1000 && rules.longer == 1600 && rules.multiple == 32 && !rules.exact_height);
    rules = parse("RGB", NULL, NULL, "multiple=8,exact=240x320");
    assert_true(rules.exact_height == 240 && rules.exact_width == 320 && rules.multiple == 8);

    refuse("rgb", NULL, NULL, NULL, "stipple.image.order is 'rgb'");
    static const char *const bad_threes[] = {"",      "1",     "1,2",     "1,2,3,4", "1,2,3,",
                                             "1;2;3", "a,b,c", "1,2,nan", "1,inf,2"};
    for (size_t i = 0; i < STP_COUNT(bad_threes); i++) {
        refuse(NULL, bad_threes[i], NULL, NULL, "stipple.image.mean");
        refuse(NULL, NULL, bad_threes[i], NULL, "stipple.image.std");
    }
    refuse(NULL, NULL, "1,0,1", NULL, "divided by 0");
    static const char *const bad_resizes[] = {
        "",
        ",",
        "shorter",
        "shorter=",
        "shorter=0",
        "shorter=-1",
        "shorter=1.5",
        "shorter=99999999999999999999",
        "exact=1",
        "exact=1x",
        "exact=1x2x3",
        "exact=1X2",
        "shorter=1,",
        "shorter=1,shorter=2",
        "exact=2x2,shorter=1",
        "wider=3",
        "shorter=1 ",
        "shorter=1048577",
        "exact=2x2,exact=3x3",
        "longer=3;multiple=2",
    };
    for (size_t i = 0; i < STP_COUNT(bad_resizes); i++)
        refuse(NULL, NULL, NULL, bad_resizes[i], "stipple.image.resize");
}

// photo, the model's fixed size → resized and padded size, all as width × height.
static void check_size(const char *resize, int photo_width, int photo_height, int fixed_width, int fixed_height,
                       int width, int height, int padded_width, int padded_height)
{
    struct stp_error error;
    struct stp_fit fit;
    struct stp_fit_rules rules = parse(NULL, NULL, NULL, resize);
    struct stp_image photo = {.width = photo_width, .height = photo_height};
    assert_true(stp_fit_size(&fit, &rules, &photo, fixed_height, fixed_width, "photo", &error));
    if (fit.width != width || fit.height != height || fit.padded_width != padded_width ||
        fit.padded_height != padded_height)
        fail_msg("%s, photo %d×%d: %d×%d in %d×%d, not %d×%d in %d×%d", resize, photo_width, photo_height, fit.width,
                 fit.height, fit.padded_width, fit.padded_height, width, height, padded_width, padded_height);
}

static void test_sizes(void **state)
{
    (void)state;
    check_size(NULL, 640, 427, 0, 0, 640, 427, 640, 427);
    check_size(NULL, 640, 427, 224, 200, 224, 200, 224, 200);
    check_size(NULL, 640, 320, 0, 100, 200, 100, 200, 100);
    check_size(NULL, 640, 320, 100, 0, 100, 50, 100, 50);
    check_size("exact=240x320", 640, 427, 0, 0, 320, 240, 320, 240);
    check_size("exact=240x320", 640, 427, 7, 7, 320, 240, 320, 240);
    check_size("exact=241x320,multiple=32", 640, 427, 0, 0, 320, 241, 320, 256);
    check_size("shorter=800", 640, 480, 0, 0, 1067, 800, 1067, 800);
    check_size("shorter=800", 480, 640, 0, 0, 800, 1067, 800, 1067);
    check_size("shorter=1000,longer=1600", 3000, 1000, 0, 0, 1600, 533, 1600, 533);
    check_size("shorter=1000,longer=1600,multiple=32", 4000, 3000, 0, 0, 1333, 1000, 1344, 1024);
    check_size("longer=500", 640, 320, 0, 0, 500, 250, 500, 250);
    check_size("multiple=32", 33, 32, 0, 0, 33, 32, 64, 32);
    check_size("shorter=1,longer=1", 1000, 3, 0, 0, 1, 1, 1, 1);

    struct stp_error error;
    struct stp_fit fit;
    struct stp_fit_rules rules = parse(NULL, NULL, NULL, "shorter=100000");
    assert_false(stp_fit_size(&fit, &rules, &(struct stp_image){.width = 5, .height = 4}, 0, 0, "photo", &error));
    assert_string_equal(error.text, "photo would become an input of 125000×100000 pixels, more than 268435456");
}

// The definition: at the output pixel's centre, a triangle as wide as the larger of the two pixels, in both directions
// at once.
static double triangle(int j, int i, double scale)
{
    double reach = scale > 1 ? scale : 1;
    return fmax(0, 1 - fabs(j + 0.5 - (i + 0.5) * scale) / reach);
}

static double resampled(const struct stp_image *photo, int channel, int x, int y, int width, int height)
{
    double sum = 0, weights = 0;
    for (int j = 0; j < photo->height; j++)
        for (int i = 0; i < photo->width; i++) {
            double weight =
                triangle(i, x, (double)photo->width / width) * triangle(j, y, (double)photo->height / height);
            sum += weight * photo->rgb[(j * photo->width + i) * 3 + channel] / 65535.0;
            weights += weight;
        }
    return sum / weights;
}

static void check_pixels(int width, int height, int to_width, int to_height, bool bgr)
{
    struct stp_error error;
    stp_tensor tensor;
    struct stp_fit_rules rules = parse(bgr ? "BGR" : NULL, "0.5,0.25,0.125", "0.5,2,4", NULL);
    struct stp_image photo = make_photo(width, height);
    struct stp_fit fit = {height, width, to_height, to_width, to_height + 3, to_width + 2};
    assert_true(stp_fit_photo(&tensor, &rules, &fit, &photo, &error));
    assert_true(tensor.dtype == STP_F32 && tensor.rank == 4 && tensor.dims[0] == 1 && tensor.dims[1] == 3);
    assert_true(tensor.dims[2] == to_height + 3 && tensor.dims[3] == to_width + 2);
    const float *value = tensor.data;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < fit.padded_height; y++)
            for (int x = 0; x < fit.padded_width; x++, value++) {
                double wanted = 0;
                if (x < to_width && y < to_height) {
                    double pixel = resampled(&photo, bgr ? 2 - c : c, x, y, to_width, to_height);
                    wanted = (pixel - (double)rules.mean[c]) / (double)rules.std[c];
                }
                if (fabs((double)*value - wanted) > 1e-6)
                    fail_msg("%d×%d to %d×%d, channel %d at (%d, %d): %g, not %g", width, height, to_width, to_height,
                             c, x, y, (double)*value, wanted);
            }
    free(tensor.data);
    stp_image_free(&photo);
}

static void test_pixels(void **state)
{
    (void)state;
    static const int sizes[][4] = {
        {7, 5, 7, 5},  {7, 5, 14, 15}, {20, 30, 10, 10}, {31, 17, 12, 19}, {17, 31, 16, 32},
        {40, 3, 1, 1}, {1, 1, 6, 4},   {64, 48, 63, 49}, {5, 40, 33, 2},
    };
    for (size_t i = 0; i < STP_COUNT(sizes); i++)
        check_pixels(sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], i % 2);
}

// A photo that keeps its size arrives unchanged, to the bit.
static void test_same_size(void **state)
{
    (void)state;
    struct stp_error error;
    stp_tensor tensor;
    struct stp_fit_rules rules = parse(NULL, NULL, NULL, NULL);
    struct stp_image photo = make_photo(19, 11);
    for (int i = 0; i < 19 * 11 * 3; i++)
        photo.rgb[i] = (uint16_t)(photo.rgb[i] / 257 * 257);
    struct stp_fit fit = {11, 19, 11, 19, 11, 19};
    assert_true(stp_fit_photo(&tensor, &rules, &fit, &photo, &error));
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 19 * 11; i++)
            assert_true(((float *)tensor.data)[c * 19 * 11 + i] == (float)(photo.rgb[3 * i + c] / 257) / 255.0f);
    free(tensor.data);
    stp_image_free(&photo);
}

static void test_cells(void **state)
{
    (void)state;
    // A photo of 8 rows shown on 4 of 6 rows of the input, whose map has 3 rows: two rows of the input each.
    static const int wanted[8] = {0, 0, 0, 0, 1, 1, 1, 1};
    for (int i = 0; i < 8; i++)
        assert_int_equal(stp_fit_cell(i, 8, 4, 6, 3), wanted[i]);
    assert_int_equal(stp_fit_cell(99, 100, 50, 50, 7), 6);
    assert_int_equal(stp_fit_cell(0, 1, 1, 1, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata),  cmocka_unit_test(test_sizes), cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_same_size), cmocka_unit_test(test_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
