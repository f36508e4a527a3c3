// SPDX-License-Identifier: Apache-2.0
// Bilinear resizing with half-pixel centres; when shrinking, the triangle is widened by the factor (antialiasing).
#ifndef STP_RESIZE_H
#define STP_RESIZE_H

#include "image.h"

// Writes red, green and blue planes, scaled to 0…1, of `width` × `height` values: rows `stride`, planes `plane` values
// apart.
bool stp_resize(float *out, int width, int height, size_t stride, size_t plane, const struct stp_image *photo,
                struct stp_error *error);

#endif
