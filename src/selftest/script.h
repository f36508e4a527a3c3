// SPDX-License-Identifier: Apache-2.0
// Small models from lines of text, for the selftest.
#ifndef STP_SELFTEST_SCRIPT_H
#define STP_SELFTEST_SCRIPT_H

#include "base/base.h"

// Statements between semicolons; each is words:
//   in NAME DIMS…            a float32 input, filled with noise
//   const NAME DIMS…         a float32 constant of noise;  ones NAME DIMS…: of ones;  ints NAME VALUES…: an int64 vector
//   OP INPUTS… -> OUTPUTS… [NAME=VALUE]…
//                            a node; Sample and Interpolate are stipple's. A value is an integer, integers between commas, or a float that
//                            ends with f
// What no node reads is an output of the graph. The model (opset 18), the caller's (free); its inputs in their order. The text is the
// library's own: what is wrong with it is an assertion. Errors: out of memory.
enum { STP_SCRIPT_INPUTS = 4 };
struct stp_script {
    unsigned char *bytes;
    size_t size;
    int n_inputs;
    struct stp_script_input {
        char name[16];
        stp_tensor tensor; // without data
    } inputs[STP_SCRIPT_INPUTS];
};
stp_status stp_script_read(struct stp_script *out, stp_context *context, const char *text);

#endif
