// SPDX-License-Identifier: Apache-2.0
// Finding out in a child process what a driver does before it may do it here.
#ifndef STP_DEVICE_PROBE_H
#define STP_DEVICE_PROBE_H

#include "device/device.h"

enum { STP_PROBE_TIMEOUT_MS = 60000 };

// Lists the devices in a child (`helper`: the path of stipple-probe). STP_ERROR_DEVICE if that kills or hangs it; the
// message names the driver files at fault.
stp_status stp_probe_listing(stp_context *context, const char *helper, int timeout_ms);

// Probes device number `index` of the list, whose names `info` holds, in a child: sets info->inexact, or info->unusable
// if the probe failed or died. Strings go into `arena`. An error only if nothing was found out.
stp_status stp_probe_device(stp_context *context, const char *helper, struct stp_arena *arena, int index,
                            stp_device_info *info, int timeout_ms);

#endif
