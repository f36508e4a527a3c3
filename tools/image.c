// SPDX-License-Identifier: Apache-2.0
#include "image.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libexif/exif-data.h>

enum stp_image_kind stp_image_kind(const void *bytes, size_t size)
{
    if (size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8))
        return STP_IMAGE_PNG;
    if (size >= 3 && !memcmp(bytes, "\xff\xd8\xff", 3))
        return STP_IMAGE_JPEG;
    return STP_IMAGE_OTHER;
}

void stp_image_free(struct stp_image *image)
{
    free(image->rgb);
    *image = (struct stp_image){0};
}

bool stp_image_alloc(struct stp_image *out, uint32_t width, uint32_t height, uint64_t most, const char *name,
                     struct stp_error *error)
{
    uint64_t pixels = (uint64_t)width * height;
    if (width > INT_MAX || height > INT_MAX || pixels > STP_IMAGE_MAX_PIXELS)
        return stp_error_set(error, "%s is too large: %u×%u pixels, more than %d", name, width, height,
                             STP_IMAGE_MAX_PIXELS);
    if (!pixels || pixels > most)
        return stp_error_set(error, "%s is corrupt: %u×%u pixels cannot come from a file of its length", name, width,
                             height);
    *out = (struct stp_image){.width = (int)width, .height = (int)height, .rgb = malloc(pixels * 6)};
    return out->rgb || stp_error_set(error, "out of memory: %zu bytes for %s", (size_t)pixels * 6, name);
}

int stp_exif_orientation(const unsigned char *bytes, unsigned size)
{
    int orientation = 1;
    ExifData *exif = exif_data_new();
    if (!exif)
        return orientation;
    exif_data_unset_option(exif, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION); // read only, mend nothing
    exif_data_load_data(exif, bytes, size);
    ExifEntry *entry = exif_content_get_entry(exif->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    if (entry && entry->format == EXIF_FORMAT_SHORT && entry->components >= 1 && entry->size >= 2) {
        int value = exif_get_short(entry->data, exif_data_get_byte_order(exif));
        if (value >= 1 && value <= 8)
            orientation = value;
    }
    exif_data_unref(exif);
    return orientation;
}

// Orientations 5 to 8 swap rows and columns; after that 2, 3, 7, 8 mirror the source's columns and 3, 4, 6, 7 its rows.
static bool turn_upright(struct stp_image *image, int orientation, const char *name, struct stp_error *error)
{
    if (orientation == 1)
        return true;
    bool swap = orientation >= 5;
    bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    struct stp_image from = *image, to;
    if (!stp_image_alloc(&to, (uint32_t)(swap ? from.height : from.width), (uint32_t)(swap ? from.width : from.height),
                         UINT64_MAX, name, error))
        return false;
    for (int y = 0; y < to.height; y++)
        for (int x = 0; x < to.width; x++) {
            int sx = swap ? y : x, sy = swap ? x : y;
            sx = flip_x ? from.width - 1 - sx : sx;
            sy = flip_y ? from.height - 1 - sy : sy;
            memcpy(to.rgb + 3 * ((size_t)y * (size_t)to.width + (size_t)x),
                   from.rgb + 3 * ((size_t)sy * (size_t)from.width + (size_t)sx), 6);
        }
    stp_image_free(image);
    *image = to;
    return true;
}

bool stp_image_decode(struct stp_image *out, const void *bytes, size_t size, const char *name, struct stp_error *error)
{
    *out = (struct stp_image){0};
    int orientation = 1;
    bool ok = false;
    switch (stp_image_kind(bytes, size)) {
    case STP_IMAGE_PNG: ok = stp_png_decode(out, &orientation, bytes, size, name, error); break;
    case STP_IMAGE_JPEG: ok = stp_jpeg_decode(out, &orientation, bytes, size, name, error); break;
    case STP_IMAGE_OTHER: stp_error_set(error, "%s is neither a PNG nor a JPEG file", name); break;
    }
    ok = ok && turn_upright(out, orientation, name, error);
    if (!ok)
        stp_image_free(out);
    return ok;
}

bool stp_image_load(struct stp_image *out, const char *path, struct stp_error *error)
{
    *out = (struct stp_image){0};
    struct stp_bytes bytes;
    if (!stp_read_file(&bytes, path, error))
        return false;
    bool ok = stp_image_decode(out, bytes.data, bytes.size, path, error);
    free(bytes.data);
    return ok;
}
