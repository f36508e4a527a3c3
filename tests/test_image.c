// SPDX-License-Identifier: Apache-2.0
// tools/image*.c: every kind of PNG and JPEG, orientation, and files that are damaged or lie about their size.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jpeglib.h>
#include <png.h>

#include "image.h"

enum { WIDTH = 13, HEIGHT = 7 };

// A file in memory.
struct blob {
    unsigned char *bytes;
    size_t size;
};

static void append(struct blob *blob, const void *bytes, size_t size)
{
    blob->bytes = realloc(blob->bytes, blob->size + size);
    assert_non_null(blob->bytes);
    memcpy(blob->bytes + blob->size, bytes, size);
    blob->size += size;
}

// An Exif block with one entry.
static void put_exif(unsigned char exif[32], int orientation)
{
    static const unsigned char block[32] = {'E',  'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                                            0x01, 0x12, 0,   3,   0, 0, 0,   1,   0, 0,  0, 0, 0, 0, 0, 0};
    memcpy(exif, block, 32);
    exif[25] = (unsigned char)orientation;
}

// PNG ----------------------------------------------------------------------------------------------------------------

struct png_kind {
    int color, depth, interlace;
    bool transparent; // with a tRNS chunk
};

static void write_blob(png_structp png, png_bytep bytes, size_t size)
{
    append(png_get_io_ptr(png), bytes, size);
}

static void flush_blob(png_structp png)
{
    (void)png;
}

static int channels_of(int color)
{
    return color == PNG_COLOR_TYPE_RGB          ? 3
           : color == PNG_COLOR_TYPE_RGBA       ? 4
           : color == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                : 1;
}

// The sample that the test pictures have at (x, y), channel c.
static unsigned sample(const struct png_kind *kind, int x, int y, int c)
{
    unsigned value = (unsigned)(x * 5407 + y * 911 + c * 25013);
    return value & ((1u << kind->depth) - 1);
}

static const png_color palette[4] = {{0, 0, 0}, {255, 10, 20}, {30, 200, 40}, {7, 8, 250}};

static void fill_row(const struct png_kind *kind, int y, unsigned char *row)
{
    int channels = channels_of(kind->color);
    memset(row, 0, 2 * 4 * WIDTH);
    for (int i = 0; i < WIDTH * channels; i++) {
        unsigned value = sample(kind, i / channels, y, i % channels);
        if (kind->depth == 16) {
            row[2 * i] = (unsigned char)(value >> 8);
            row[2 * i + 1] = (unsigned char)value;
        } else {
            int per = 8 / kind->depth;
            row[i / per] |= (unsigned char)(value << (8 - kind->depth * (i % per + 1)));
        }
    }
}

static struct blob make_png(const struct png_kind *kind, int orientation)
{
    struct blob blob = {0};
    unsigned char rows[HEIGHT][2 * 4 * WIDTH], exif[32];
    png_bytep pointers[HEIGHT];
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &blob, write_blob, flush_blob);
    png_set_IHDR(png, info, WIDTH, HEIGHT, kind->depth, kind->color, kind->interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (kind->color == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 1 << kind->depth);
    if (kind->transparent)
        png_set_tRNS(png, info, (const unsigned char[]){0, 128}, kind->color == PNG_COLOR_TYPE_PALETTE ? 2 : 0,
                     &(png_color_16){.gray = 1, .red = 1, .green = 1, .blue = 1});
    put_exif(exif, orientation);
    if (orientation)
        png_set_eXIf_1(png, info, 26, exif + 6);
    for (int y = 0; y < HEIGHT; y++) {
        fill_row(kind, y, rows[y]);
        pointers[y] = rows[y];
    }
    png_set_rows(png, info, pointers);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    return blob;
}

static unsigned expected(const struct png_kind *kind, int x, int y, int c)
{
    unsigned most = (1u << kind->depth) - 1;
    if (kind->color == PNG_COLOR_TYPE_PALETTE) {
        png_color color = palette[sample(kind, x, y, 0)];
        return 257u * (c == 0 ? color.red : c == 1 ? color.green : color.blue);
    }
    return sample(kind, x, y, channels_of(kind->color) < 3 ? 0 : c) * (65535 / most);
}

static void check_png(const struct png_kind *kind)
{
    struct stp_error error;
    struct stp_image image;
    struct blob blob = make_png(kind, 0);
    if (!stp_image_decode(&image, blob.bytes, blob.size, "test.png", &error))
        fail_msg("color %d depth %d: %s", kind->color, kind->depth, error.text);
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++)
                assert_int_equal(image.rgb[(y * WIDTH + x) * 3 + c], expected(kind, x, y, c));
    stp_image_free(&image);
    free(blob.bytes);
}

static void test_png_kinds(void **state)
{
    (void)state;
    static const struct png_kind kinds[] = {
        {PNG_COLOR_TYPE_GRAY, 1},        {PNG_COLOR_TYPE_GRAY, 2},    {PNG_COLOR_TYPE_GRAY, 4},
        {PNG_COLOR_TYPE_GRAY, 8},        {PNG_COLOR_TYPE_GRAY, 16},   {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 16}, {PNG_COLOR_TYPE_PALETTE, 1}, {PNG_COLOR_TYPE_PALETTE, 2},
        {PNG_COLOR_TYPE_RGB, 8},         {PNG_COLOR_TYPE_RGB, 16},    {PNG_COLOR_TYPE_RGBA, 8},
        {PNG_COLOR_TYPE_RGBA, 16},
    };
    for (size_t i = 0; i < STP_COUNT(kinds); i++)
        for (int interlace = 0; interlace < 2; interlace++)
            for (int transparent = 0; transparent < 2; transparent++) {
                struct png_kind kind = kinds[i];
                kind.interlace = interlace ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE;
                kind.transparent = transparent && !(kind.color & PNG_COLOR_MASK_ALPHA);
                check_png(&kind);
            }
}

static const struct png_kind plain = {PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE, false};

static void test_png_orientation(void **state)
{
    (void)state;
    // Where the stored picture's first row starts and which way it runs, per orientation: as the Exif standard draws
    // it.
    for (int orientation = 0; orientation <= 9; orientation++) {
        struct stp_error error;
        struct stp_image image;
        struct blob blob = make_png(&plain, orientation);
        assert_true(stp_image_decode(&image, blob.bytes, blob.size, "test.png", &error));
        int last_x = image.width - 1, last_y = image.height - 1;
        assert_int_equal(last_x, (orientation >= 5 && orientation <= 8 ? HEIGHT : WIDTH) - 1);
        int places[10][4] = {{0, 0, 1, 0},       {0, 0, 1, 0}, {last_x, 0, -1, 0}, {last_x, last_y, -1, 0},
                             {0, last_y, 1, 0},  {0, 0, 0, 1}, {last_x, 0, 0, 1},  {last_x, last_y, 0, -1},
                             {0, last_y, 0, -1}, {0, 0, 1, 0}};
        for (int i = 0; i < WIDTH; i++) {
            int x = places[orientation][0] + i * places[orientation][2];
            int y = places[orientation][1] + i * places[orientation][3];
            for (int c = 0; c < 3; c++)
                assert_int_equal(image.rgb[(y * image.width + x) * 3 + c], 257 * sample(&plain, i, 0, c));
        }
        stp_image_free(&image);
        free(blob.bytes);
    }
}

// A decoder's answer to damaged bytes: an error whose sentence names the file, or a picture.
static bool try_decode(const unsigned char *bytes, size_t size, struct stp_error *error)
{
    struct stp_image image;
    *error = (struct stp_error){0};
    // An exact copy, so that a sanitizer sees a read beyond the end.
    unsigned char *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    bool ok = stp_image_decode(&image, copy, size, "test.file", error);
    if (ok)
        assert_non_null(image.rgb);
    else
        assert_true(!image.rgb && strstr(error->text, "test.file"));
    stp_image_free(&image);
    free(copy);
    return ok;
}

static void set_png_size(struct blob *blob, uint32_t width, uint32_t height)
{
    unsigned char *at = blob->bytes + 16;
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned char)(width >> (24 - 8 * i));
        at[4 + i] = (unsigned char)(height >> (24 - 8 * i));
    }
    uint32_t crc = 0xffffffff;
    for (int i = 12; i < 29; i++) {
        crc ^= blob->bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    for (int i = 0; i < 4; i++)
        blob->bytes[29 + i] = (unsigned char)(~crc >> (24 - 8 * i));
}

static void test_png_damage(void **state)
{
    (void)state;
    struct stp_error error;
    struct blob blob = make_png(&plain, 6);
    for (size_t size = 0; size < blob.size; size++)
        assert_false(try_decode(blob.bytes, size, &error));
    for (size_t i = 0; i < blob.size * 8; i++) {
        blob.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        try_decode(blob.bytes, blob.size, &error);
        blob.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    assert_true(try_decode(blob.bytes, blob.size, &error));
    set_png_size(&blob, 0x7fffffff, 0x7fffffff);
    assert_false(try_decode(blob.bytes, blob.size, &error));
    assert_non_null(strstr(error.text, "too large: 2147483647×2147483647"));
    set_png_size(&blob, 16000, 16000);
    assert_false(try_decode(blob.bytes, blob.size, &error));
    assert_non_null(strstr(error.text, "cannot come from a file of its length"));
    set_png_size(&blob, WIDTH, HEIGHT + 1);
    assert_false(try_decode(blob.bytes, blob.size, &error));
    free(blob.bytes);
}

// JPEG ---------------------------------------------------------------------------------------------------------------

struct jpeg_kind {
    J_COLOR_SPACE stored;
    bool progressive, arithmetic;
    int orientation;
};

// The test pictures are smooth, so that a lossy file gives nearly what went in.
static int smooth(int x, int y, int c)
{
    return 40 + x * 2 + y + c * 30;
}

enum { JPEG_WIDTH = 45, JPEG_HEIGHT = 30 };

static struct blob make_jpeg(const struct jpeg_kind *kind)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    struct blob blob = {0};
    unsigned long size = 0;
    bool four = kind->stored == JCS_CMYK || kind->stored == JCS_YCCK;
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &blob.bytes, &size);
    jpeg.image_width = JPEG_WIDTH;
    jpeg.image_height = JPEG_HEIGHT;
    jpeg.input_components = four ? 4 : kind->stored == JCS_GRAYSCALE ? 1 : 3;
    jpeg.in_color_space = four ? JCS_CMYK : kind->stored == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, kind->stored);
    jpeg_set_quality(&jpeg, 98, TRUE);
    jpeg.arith_code = kind->arithmetic;
    if (kind->progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    unsigned char exif[32];
    put_exif(exif, kind->orientation);
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof exif);
    for (int y = 0; y < JPEG_HEIGHT; y++) {
        JSAMPLE row[4 * JPEG_WIDTH], *pointer = row;
        for (int i = 0; i < JPEG_WIDTH * jpeg.input_components; i++)
            row[i] = (JSAMPLE)smooth(i / jpeg.input_components, y, i % jpeg.input_components);
        jpeg_write_scanlines(&jpeg, &pointer, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    blob.size = size;
    return blob;
}

static int jpeg_expected(const struct jpeg_kind *kind, int x, int y, int c)
{
    if (kind->stored == JCS_GRAYSCALE)
        return smooth(x, y, 0);
    if (kind->stored == JCS_YCCK) // written with an Adobe marker: 255 is no ink
        return smooth(x, y, c) * smooth(x, y, 3) / 255;
    return smooth(x, y, c);
}

static void test_jpeg_kinds(void **state)
{
    (void)state;
    static const struct jpeg_kind kinds[] = {
        {JCS_YCbCr, .orientation = 1},     {JCS_YCbCr, .progressive = true, .orientation = 1},
        {JCS_GRAYSCALE, .orientation = 1}, {JCS_RGB, .orientation = 1},
        {JCS_YCCK, .orientation = 1},      {JCS_YCbCr, .orientation = 6},
        {JCS_YCbCr, .orientation = 0},     {JCS_YCbCr, .orientation = 200},
    };
    for (size_t i = 0; i < STP_COUNT(kinds); i++) {
        struct stp_error error;
        struct stp_image image;
        struct blob blob = make_jpeg(kinds + i);
        if (!stp_image_decode(&image, blob.bytes, blob.size, "test.jpg", &error))
            fail_msg("kind %zu: %s", i, error.text);
        bool turned = kinds[i].orientation == 6;
        assert_int_equal(image.width, turned ? JPEG_HEIGHT : JPEG_WIDTH);
        for (int y = 0; y < image.height; y++)
            for (int x = 0; x < image.width; x++)
                for (int c = 0; c < 3; c++) {
                    int got = image.rgb[(y * image.width + x) * 3 + c] / 257;
                    int wanted = jpeg_expected(kinds + i, turned ? y : x, turned ? JPEG_HEIGHT - 1 - x : y, c);
                    if (abs(got - wanted) > 4)
                        fail_msg("kind %zu at (%d, %d), channel %d: %d, not %d", i, x, y, c, got, wanted);
                }
        stp_image_free(&image);
        free(blob.bytes);
    }
}

// Without an Adobe marker CMYK is ink as such.
static void test_jpeg_plain_cmyk(void **state)
{
    (void)state;
    struct stp_error error;
    struct stp_image image;
    struct blob blob = make_jpeg(&(struct jpeg_kind){JCS_CMYK, .orientation = 1});
    unsigned char *adobe = blob.bytes;
    while (memcmp(adobe,
                  "\xff\xee\0\x0e"
                  "Adobe",
                  9))
        adobe++;
    adobe[1] = 0xed; // another marker, which nobody reads
    assert_true(stp_image_decode(&image, blob.bytes, blob.size, "test.jpg", &error));
    int wanted = (255 - smooth(0, 0, 1)) * (255 - smooth(0, 0, 3)) / 255;
    assert_true(abs(image.rgb[1] / 257 - wanted) <= 4);
    stp_image_free(&image);
    free(blob.bytes);
}

static void check_jpeg_damage(const struct jpeg_kind *kind)
{
    struct stp_error error;
    struct blob blob = make_jpeg(kind);
    for (size_t size = 0; size < blob.size; size++)
        if (try_decode(blob.bytes, size, &error))
            fail_msg("a JPEG file cut off at %zu of %zu bytes passed", size, blob.size);
    for (size_t i = 0; i < blob.size * 8; i++) {
        blob.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        try_decode(blob.bytes, blob.size, &error);
        blob.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    unsigned char *frame = blob.bytes;
    while (frame[0] != 0xff || (frame[1] != 0xc0 && frame[1] != 0xc2))
        frame++;
    memcpy(frame + 5, "\xff\xdc\xff\xdc", 4); // 65500×65500
    assert_false(try_decode(blob.bytes, blob.size, &error));
    assert_non_null(strstr(error.text, "too large: 65500×65500"));
    memcpy(frame + 5, "\x3e\x80\x3e\x80", 4); // 16000×16000
    assert_false(try_decode(blob.bytes, blob.size, &error));
    assert_non_null(strstr(error.text, "cannot come from a file of its length"));
    free(blob.bytes);
}

static void test_jpeg_damage(void **state)
{
    (void)state;
    check_jpeg_damage(&(struct jpeg_kind){JCS_YCbCr, .orientation = 1});
    check_jpeg_damage(&(struct jpeg_kind){JCS_YCbCr, .progressive = true, .orientation = 8});
}

// Some cameras leave stray bytes between the picture's data and the next marker: libjpeg warns, nothing is lost.
static void test_jpeg_stray_bytes(void **state)
{
    (void)state;
    struct stp_error error;
    struct blob blob = make_jpeg(&(struct jpeg_kind){JCS_YCbCr, .orientation = 1});
    size_t end = blob.size - 2; // the end-of-image marker
    append(&blob, "\0\0", 2);
    memmove(blob.bytes + end + 2, blob.bytes + end, 2);
    memset(blob.bytes + end, 0, 2);
    assert_true(try_decode(blob.bytes, blob.size, &error));
    free(blob.bytes);
}

// Others -------------------------------------------------------------------------------------------------------------

static void test_other_files(void **state)
{
    (void)state;
    struct stp_error error;
    assert_false(try_decode((const unsigned char *)"", 0, &error));
    assert_false(try_decode((const unsigned char *)"GIF89a", 6, &error));
    assert_string_equal(error.text, "test.file is neither a PNG nor a JPEG file");
    struct stp_image image;
    assert_false(stp_image_load(&image, "/nowhere/photo.png", &error));
    assert_string_equal(error.text, "cannot open /nowhere/photo.png: No such file or directory");
    assert_false(stp_image_load(&image, "/", &error));
    assert_string_equal(error.text, "/ is not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_kinds),        cmocka_unit_test(test_png_orientation),
        cmocka_unit_test(test_png_damage),       cmocka_unit_test(test_jpeg_kinds),
        cmocka_unit_test(test_jpeg_plain_cmyk),  cmocka_unit_test(test_jpeg_damage),
        cmocka_unit_test(test_jpeg_stray_bytes), cmocka_unit_test(test_other_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
