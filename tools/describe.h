// SPDX-License-Identifier: Apache-2.0
// What a device says of itself, for people and as JSON.
#ifndef STP_DESCRIBE_H
#define STP_DESCRIBE_H

#include "json.h"

// Several lines. `speed` zeros: never measured.
void stp_describe_device(const stp_device_info *info, const stp_device_speed *speed);
// Into an object.
void stp_describe_device_json(cJSON *device, const stp_device_info *info, const stp_device_speed *speed);

#endif
