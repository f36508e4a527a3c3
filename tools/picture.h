// SPDX-License-Identifier: Apache-2.0
// Pictures of what a network did: masks, the heat map of its sampling, segments over the photo. PNG, to an open file.
#ifndef STP_PICTURE_H
#define STP_PICTURE_H

#include "fit.h"

// One map of a network at one image: height × width. `values` is not owned.
struct stp_map {
    int height, width;
    const uint8_t *values;
};

// 8-bit grey at the mask's resolution: 255 where it is 1.
bool stp_picture_mask(FILE *file, const struct stp_map *mask, struct stp_error *error);

// The photo in grey under the colours of how often each place was sampled: the mean over all masks, black to violet for
// 0, orange for a half, pale yellow for 1. Each mask is stretched over the input, which is cut back to the photo.
bool stp_picture_heat(FILE *file, const struct stp_image *photo, const struct stp_fit *fit, const struct stp_map *masks,
                      size_t n_masks, struct stp_error *error);

// The photo under the colours of its classes; values of the map are class numbers modulo 256.
bool stp_picture_segments(FILE *file, const struct stp_image *photo, const struct stp_fit *fit,
                          const struct stp_map *classes, struct stp_error *error);

// The class with the largest score at each site of `scores` (C × height × width); NaN never wins. out: height × width.
void stp_picture_classes(uint8_t *out, const float *scores, int64_t channels, int height, int width);

#endif
