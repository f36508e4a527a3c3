// SPDX-License-Identifier: Apache-2.0
// The parts of the selftest, as the child process runs them.
#ifndef STP_SELFTEST_PARTS_H
#define STP_SELFTEST_PARTS_H

#include "device/device.h"

// A compiler for GPUs that runs on the CPU may take minutes.
enum { STP_PART_TIMEOUT_MS = 600000 };

struct stp_part_result {
    int checks, failed;
    char detail[512];
};

// Parts are numbered: first stp_selftest_groups, then the two below.
size_t stp_part_count(void);
const char *stp_part_name(size_t part);
// Errors: those of a session; also a part's failure.
stp_status stp_part_run(struct stp_device *device, size_t part, struct stp_part_result *out);

#endif
