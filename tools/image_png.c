// SPDX-License-Identifier: Apache-2.0
#include "image.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

struct source {
    const unsigned char *bytes;
    size_t size, at;
    const char *name;
    struct stp_error *error;
};

static void on_error(png_structp png, png_const_charp message)
{
    struct source *source = png_get_error_ptr(png);
    stp_error_set(source->error, "%s is corrupt: %s", source->name, message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message; // about chunks that are not used here
}

static void on_read(png_structp png, png_bytep to, size_t count)
{
    struct source *source = png_get_io_ptr(png);
    if (count > source->size - source->at)
        png_error(png, "the file ends too early");
    memcpy(to, source->bytes + source->at, count);
    source->at += count;
}

static int read_orientation(png_structp png, png_infop info)
{
    static const unsigned char head[6] = "Exif\0";
    png_uint_32 size = 0;
    png_bytep exif = NULL;
    if (!png_get_eXIf_1(png, info, &size, &exif) || !exif || size > 1 << 20)
        return 1;
    unsigned char *block = malloc(sizeof head + size);
    if (!block)
        return 1;
    memcpy(block, head, sizeof head);
    memcpy(block + sizeof head, exif, size);
    int orientation = stp_exif_orientation(block, (unsigned)(sizeof head + size));
    free(block);
    return orientation;
}

// Whatever the file holds becomes 16-bit RGB in the machine's byte order, alpha dropped, grey replicated.
static void set_transforms(png_structp png)
{
    png_set_expand(png);    // palettes, grey below 8 bits, tRNS
    png_set_expand_16(png); // v · 257
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    png_set_swap(png);
#endif
}

// Called below the setjmp(): whatever must survive a longjmp() is behind a pointer.
static bool read_pixels(png_structp png, png_infop info, struct source *source, struct stp_image *out)
{
    png_read_info(png, info);
    uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    // Deflate makes at most 1032 bytes of one.
    uint64_t raw = 1032 * (uint64_t)source->size;
    uint64_t row = (uint64_t)png_get_rowbytes(png, info);
    if (!stp_image_alloc(out, width, height, row ? raw / row * width : 0, source->name, source->error))
        return false;
    set_transforms(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)width * 6)
        return stp_error_set(source->error, "%s has an unknown pixel layout", source->name);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < height; y++)
            png_read_row(png, (png_bytep)(out->rgb + (size_t)y * width * 3), NULL);
    png_read_end(png, info);
    return true;
}

bool stp_png_decode(struct stp_image *out, int *orientation, const void *bytes, size_t size, const char *name,
                    struct stp_error *error)
{
    struct source source = {.bytes = bytes, .size = size, .name = name, .error = error};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return stp_error_set(error, "out of memory for decoding %s", name);
    }
    volatile bool ok = false;
    if (!setjmp(png_jmpbuf(png))) {
        png_set_read_fn(png, &source, on_read);
        png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); // stp_image_alloc() has the limits
        if (read_pixels(png, info, &source, out)) {
            *orientation = read_orientation(png, info);
            ok = true;
        }
    }
    png_destroy_read_struct(&png, &info, NULL);
    return ok;
}
