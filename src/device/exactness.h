// SPDX-License-Identifier: Apache-2.0
// Whether a device computes the reference's bits (SPEC.md, Exactness).
#ifndef STP_DEVICE_EXACTNESS_H
#define STP_DEVICE_EXACTNESS_H

#include "device/device.h"

// Compares what cl/probe.cl computes with the same in C. *finding: NULL if every bit agrees, else what does not
// ("subnormals", "fma, division"), in the device's arena. In this process: a driver that aborts takes it down.
stp_status stp_device_exactness(struct stp_device *device, const char **finding);

#endif
