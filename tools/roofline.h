// SPDX-License-Identifier: Apache-2.0
// A roofline picture: how fast each layer ran, over how much arithmetic it does per byte that it must move, under the device's two ceilings
// (Williams, Waterman, Patterson: Roofline, 2009).
#ifndef STP_ROOFLINE_H
#define STP_ROOFLINE_H

#include "tool.h"

struct stp_roofline_point {
    const char *kernel, *node;
    double flops, bytes, ms; // each above 0
};

// Writes an SVG file. `speed` is measured. The error names the file.
bool stp_roofline_write(const char *path, const char *title, const stp_device_speed *speed, const struct stp_roofline_point *points,
                        size_t count, struct stp_error *error);

#endif
