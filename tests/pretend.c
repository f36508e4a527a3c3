// SPDX-License-Identifier: Apache-2.0
// Loaded before the library (LD_PRELOAD), it stands in for what a test of the command cannot bring about.
// PRETEND=speed: the device was measured at 100 GFLOP/s and 10 GB/s. PRETEND=output: every second output that is asked for
// differs in its last bit.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <stipple/stipple.h>

static bool pretends(const char *what)
{
    const char *asked = getenv("PRETEND");
    return asked && !strcmp(asked, what);
}

stp_status stp_device_get_speed(stp_device *device, stp_device_speed *out)
{
    (void)device;
    *out = pretends("speed") ? (stp_device_speed){.flops = 100e9, .bytes = 10e9} : (stp_device_speed){0};
    return STP_OK;
}

stp_status stp_session_output(stp_session *session, size_t index, stp_tensor *out)
{
    static char copy[1 << 16];
    static int calls;
    stp_status (*real)(stp_session *, size_t, stp_tensor *);
    *(void **)&real = dlsym(RTLD_NEXT, "stp_session_output");
    stp_status status = real(session, index, out);
    size_t size = status == STP_OK ? (size_t)stp_tensor_elements(out) * stp_dtype_size(out->dtype) : 0;
    if (!pretends("output") || ++calls % 2 || !size || size > sizeof copy)
        return status;
    memcpy(copy, out->data, size);
    copy[size - stp_dtype_size(out->dtype)] ^= 1;
    out->data = copy;
    return status;
}
