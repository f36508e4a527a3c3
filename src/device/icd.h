// SPDX-License-Identifier: Apache-2.0
// The driver files (.icd) that OpenCL's loader reads. The loader skips broken ones without a word.
#ifndef STP_DEVICE_ICD_H
#define STP_DEVICE_ICD_H

#include "base/base.h"

// Calls `visit` with the path of each .icd file of the folder that the loader reads: OCL_ICD_VENDORS, or the system's.
void stp_icd_each(void (*visit)(void *user, const char *path), void *user);

// Warns of each .icd file whose driver the loader could not load. To be called after the loader did its work.
void stp_icd_warn_broken(stp_context *context);

#endif
