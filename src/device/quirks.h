// SPDX-License-Identifier: Apache-2.0
// What is known of drivers and cannot be asked or probed.
#ifndef STP_DEVICE_QUIRKS_H
#define STP_DEVICE_QUIRKS_H

#include "device/device.h"

enum stp_quirk {
    STP_QUIRK_LANES = 1,         // called a CPU, but makes vector lanes of work-items, as GPUs do
    STP_QUIRK_APART = 2,         // sub-buffers must not overlap
    STP_QUIRK_SLOW_BINARIES = 4, // handing out a program's binary takes longer than building it
    STP_QUIRK_UNITS = 8,         // the number of compute units is made up
};

// Those of the device, or-ed.
unsigned stp_device_quirks(const stp_device_info *info);
// Each in words, with a link; NULL beyond the end.
const char *stp_device_quirk_text(const stp_device_info *info, size_t index);

// Of the cores, or of a GPU's driver: its own, Apple's or Mesa's.
enum stp_maker stp_device_maker(const stp_device_info *info);

#endif
