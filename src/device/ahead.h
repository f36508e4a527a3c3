// SPDX-License-Identifier: Apache-2.0
// Compiling on several cores. PoCL compiles one kernel at a time in a process, most of it when the kernel is first launched; processes
// share its cache and ours. So helper processes compile what is needed last while this one begins with what is needed first.
#ifndef STP_DEVICE_AHEAD_H
#define STP_DEVICE_AHEAD_H

#include "device/device.h"

// A kernel, and how it is launched.
struct stp_ahead_kernel {
    const char *program, *options, *kernel;
    size_t local[3];
    char arguments[128]; // for each "b", a buffer, "4", that many bytes, or "l512", that many bytes of local memory; and a space
};

// Starts helpers for `kernels`, in the order in which they are needed; none where that would gain little. They end by themselves, or when they
// are stopped: after a run, or with the device. Nothing depends on them: what fails there is done here.
void stp_ahead_start(struct stp_device *device, const struct stp_ahead_kernel *kernels, size_t count);
// Whether one was running.
bool stp_ahead_stop(struct stp_device *device);

// In a helper: compiles what `text` lists, as stp_ahead_start() wrote it.
stp_status stp_ahead_compile(struct stp_device *device, const char *text);

#endif
