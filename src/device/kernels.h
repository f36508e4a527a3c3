// SPDX-License-Identifier: Apache-2.0
// The sources of cl/, embedded by the build.
#ifndef STP_DEVICE_KERNELS_H
#define STP_DEVICE_KERNELS_H

struct stp_kernel_source {
    const char *name; // file name without .cl
    const char *text;
};
// Ends with a NULL name.
extern const struct stp_kernel_source stp_kernel_sources[];

#endif
