// SPDX-License-Identifier: Apache-2.0
// tools/picture.c and tools/outbox.c: what the pictures show, and that files appear together or not at all.
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "outbox.h"
#include "picture.h"

static struct stp_error error;
static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/stipple-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

// Entries of the folder at `path`, -1 if there is none.
static int entries(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    int count = -2;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *below(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

// Pictures -----------------------------------------------------------------------------------------------------------

// The picture that `draw` writes, read again.
#define DRAWN(image, draw)                                                                                             \
    do {                                                                                                               \
        char *bytes = NULL;                                                                                            \
        size_t size = 0;                                                                                               \
        FILE *file = open_memstream(&bytes, &size);                                                                    \
        assert_non_null(file);                                                                                         \
        assert_true(draw);                                                                                             \
        fclose(file);                                                                                                  \
        assert_true(stp_image_decode(image, bytes, size, "picture", &error));                                          \
        free(bytes);                                                                                                   \
    } while (0)

static void test_mask(void **state)
{
    (void)state;
    static const uint8_t values[6] = {0, 1, 1, 0, 0, 1};
    struct stp_image image;
    DRAWN(&image, stp_picture_mask(file, &(struct stp_map){2, 3, values}, &error));
    assert_true(image.width == 3 && image.height == 2);
    for (int i = 0; i < 6; i++)
        assert_int_equal(image.rgb[3 * i], values[i] * 65535);
    stp_image_free(&image);
}

static struct stp_image grey_photo(int width, int height)
{
    struct stp_image photo;
    assert_true(stp_image_alloc(&photo, (uint32_t)width, (uint32_t)height, UINT64_MAX, "photo", &error));
    for (int i = 0; i < width * height * 3; i++)
        photo.rgb[i] = 128 * 257;
    return photo;
}

static int lightness(const struct stp_image *image, int x, int y)
{
    const uint16_t *rgb = image->rgb + 3 * (y * image->width + x);
    return (2 * rgb[0] + 5 * rgb[1] + rgb[2]) / (8 * 257);
}

static void test_heat(void **state)
{
    (void)state;
    // The photo, 8×4, fills the left 8 of 16 columns of the input. Mask a has a site per 4 columns, b one per 8.
    static const uint8_t a[4] = {1, 0, 0, 1}, b[2] = {1, 0};
    const struct stp_map masks[2] = {{1, 4, a}, {1, 2, b}};
    const struct stp_fit fit = {
        .photo_height = 4, .photo_width = 8, .height = 4, .width = 8, .padded_height = 4, .padded_width = 16};
    struct stp_image photo = grey_photo(8, 4), image;
    DRAWN(&image, stp_picture_heat(file, &photo, &fit, masks, 2, &error));
    assert_true(image.width == 8 && image.height == 4);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 8; x++) // 1 on the left, 1/2 on the right
            assert_int_equal(lightness(&image, x, y), lightness(&image, x < 4 ? 0 : 4, 0));
    assert_true(lightness(&image, 0, 0) > lightness(&image, 4, 0) + 40);
    stp_image_free(&image);
    stp_image_free(&photo);
}

// More samples are lighter, step by step.
static void test_heat_scale(void **state)
{
    (void)state;
    enum { STEPS = 20 };
    static const uint8_t ones[1] = {1}, zeros[1] = {0};
    const struct stp_fit fit = {1, 1, 1, 1, 1, 1};
    struct stp_image photo = grey_photo(1, 1);
    int before = -1;
    for (int sampled = 0; sampled <= STEPS; sampled++) {
        struct stp_map masks[STEPS];
        for (int i = 0; i < STEPS; i++)
            masks[i] = (struct stp_map){1, 1, i < sampled ? ones : zeros};
        struct stp_image image;
        DRAWN(&image, stp_picture_heat(file, &photo, &fit, masks, STEPS, &error));
        assert_true(lightness(&image, 0, 0) > before);
        before = lightness(&image, 0, 0);
        stp_image_free(&image);
    }
    stp_image_free(&photo);
}

static void test_segments(void **state)
{
    (void)state;
    // Scores of three classes at 1×4 sites; NaN never wins.
    static const float scores[12] = {0, 5, NAN, NAN, 1, 4, 2, NAN, 3, 3, 1, NAN};
    uint8_t classes[4];
    stp_picture_classes(classes, scores, 3, 1, 4);
    assert_memory_equal(classes, ((uint8_t[]){2, 0, 1, 0}), 4);
    const struct stp_fit fit = {2, 8, 2, 8, 2, 8};
    struct stp_image photo = grey_photo(8, 2), image;
    DRAWN(&image, stp_picture_segments(file, &photo, &fit, &(struct stp_map){1, 4, classes}, &error));
    for (int x = 0; x < 8; x++)
        for (int other = 0; other < 8; other++) {
            bool same = !memcmp(image.rgb + 3 * x, image.rgb + 3 * other, 6);
            assert_int_equal(same, classes[x / 2] == classes[other / 2]);
        }
    stp_image_free(&image);
    stp_image_free(&photo);
}

static void test_full_disk(void **state)
{
    (void)state;
    FILE *file = fopen("/dev/full", "wb");
    if (!file)
        skip();
    setvbuf(file, NULL, _IONBF, 0);
    static const uint8_t values[1] = {1};
    assert_false(stp_picture_mask(file, &(struct stp_map){1, 1, values}, &error));
    assert_non_null(strstr(error.text, "No space left"));
    fclose(file);
}

// Files --------------------------------------------------------------------------------------------------------------

static void put_file(struct stp_outbox *box, const char *in, const char *name)
{
    FILE *file = stp_outbox_open(box, in, name, &error);
    if (!file)
        fail_msg("%s", error.text);
    fputs(name, file);
    assert_true(stp_outbox_close(box, &error));
}

static void test_commit(void **state)
{
    (void)state;
    struct stp_outbox box = {0};
    char deep[256];
    snprintf(deep, sizeof deep, "%s", below("deep/down/"));
    put_file(&box, deep, "a");
    put_file(&box, deep, "b");
    assert_true(access(below("deep/down/a"), F_OK));
    assert_true(stp_outbox_commit(&box, &error));
    stp_outbox_discard(&box);
    assert_int_equal(entries(below("deep/down")), 2);
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    assert_false(stat(below("deep/down/a"), &info));
    assert_int_equal(info.st_mode & 0777, 0666 & ~mask);
    assert_int_equal(info.st_size, 1);
    put_file(&box, deep, "a"); // replaces
    assert_true(stp_outbox_commit(&box, &error));
    assert_int_equal(entries(below("deep/down")), 2);
}

static void test_discard(void **state)
{
    (void)state;
    struct stp_outbox box = {0};
    char deep[256];
    snprintf(deep, sizeof deep, "%s", below("x/y"));
    put_file(&box, deep, "a");
    assert_non_null(stp_outbox_open(&box, deep, "open", &error));
    stp_outbox_discard(&box);
    assert_int_equal(entries(folder), 0);
}

static void test_refused(void **state)
{
    (void)state;
    struct stp_outbox box = {0};
    put_file(&box, folder, "a");
    assert_null(stp_outbox_open(&box, folder, "a", &error));
    assert_non_null(strstr(error.text, "two results would both be written to"));
    stp_outbox_discard(&box);
    assert_false(mkdir(below("a"), 0777));
    assert_null(stp_outbox_open(&box, folder, "a", &error));
    assert_non_null(strstr(error.text, "not a regular file"));
    stp_outbox_discard(&box);
    assert_null(stp_outbox_open(&box, "/dev/null", "a", &error));
    assert_null(stp_outbox_open(&box, "/proc/stipple", "a", &error));
    assert_non_null(strstr(error.text, "/proc/stipple"));
    stp_outbox_discard(&box);
}

static void test_check(void **state)
{
    (void)state;
    assert_true(stp_outbox_check(folder, &error));
    assert_true(stp_outbox_check(below("not/there/yet/"), &error));
    assert_true(stp_outbox_check(".", &error));
    assert_true(stp_outbox_check("not-there", &error));
    assert_false(stp_outbox_check("", &error));
    assert_false(stp_outbox_check("/dev/null", &error));
    assert_false(stp_outbox_check("/dev/null/below", &error));
    assert_int_equal(entries(folder), 0);
}

static void check_name(const char *name, const char *wanted)
{
    char *got = stp_file_name(name, ".npy");
    assert_string_equal(got, wanted);
    free(got);
}

static void test_names(void **state)
{
    (void)state;
    check_name("layer1/0/relu:0", "layer1_0_relu_0.npy");
    check_name("../../etc/passwd", ".._.._etc_passwd.npy");
    check_name("größe π", "gr__e__.npy");
    check_name("A-b_c.9", "A-b_c.9.npy");
    check_name("", ".npy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_heat),
        cmocka_unit_test(test_heat_scale),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test_setup_teardown(test_commit, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_discard, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_check, make_folder, remove_folder),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
