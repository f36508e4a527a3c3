// SPDX-License-Identifier: Apache-2.0
// Holds one way of computing a convolution against the reference, on small problems with edges of every kind.
#ifndef STP_RUN_VERIFY_H
#define STP_RUN_VERIFY_H

#include "device/tuned.h"

// *right: every output had the reference's bits (with Winograd, whose arithmetic has another order: came close to them); else `finding`
// says what was wrong. Errors: device, out of memory. Compiles the variant: to be called where a driver may crash or hang.
stp_status stp_verify_conv(struct stp_device *device, const struct stp_conv_shape *class, const struct stp_conv_choice *choice, bool *right,
                           char finding[256]);

#endif
