// SPDX-License-Identifier: Apache-2.0
// Photos: PNG and JPEG files, upright, as 16-bit RGB.
#ifndef STP_IMAGE_H
#define STP_IMAGE_H

#include <stdint.h>

#include "tool.h"

// The most pixels of a photo, of a network's input, or of a picture: 268 million, more than today's cameras give.
#define STP_IMAGE_MAX_PIXELS (1 << 28)

struct stp_image {
    int width, height;
    uint16_t *rgb; // height × width × 3; 8-bit values v are v · 257, so that rgb / 65535 is v / 255 to the last bit
};

// Reads the file at `path`; what it is is told by its first bytes. The error names the path. Freed by stp_image_free().
bool stp_image_load(struct stp_image *out, const char *path, struct stp_error *error);
// The same from memory; `name` is for messages.
bool stp_image_decode(struct stp_image *out, const void *bytes, size_t size, const char *name, struct stp_error *error);
void stp_image_free(struct stp_image *image);

enum stp_image_kind { STP_IMAGE_OTHER, STP_IMAGE_PNG, STP_IMAGE_JPEG };
// From the first bytes of a file.
enum stp_image_kind stp_image_kind(const void *bytes, size_t size);

// For the decoders. Allocates `out`, unless its size is absurd: no pixels, too many pixels, or more than `most` (what a
// file of this length can hold).
bool stp_image_alloc(struct stp_image *out, uint32_t width, uint32_t height, uint64_t most, const char *name,
                     struct stp_error *error);
// `orientation` gets the Exif value 1 to 8.
bool stp_png_decode(struct stp_image *out, int *orientation, const void *bytes, size_t size, const char *name,
                    struct stp_error *error);
bool stp_jpeg_decode(struct stp_image *out, int *orientation, const void *bytes, size_t size, const char *name,
                     struct stp_error *error);
// From an Exif block that starts with "Exif\0\0": 1 to 8, 1 where it says nothing sensible.
int stp_exif_orientation(const unsigned char *bytes, unsigned size);

#endif
