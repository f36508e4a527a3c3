// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef STP_NPY_H
#define STP_NPY_H

#include "tool.h"

bool stp_npy_is(const void *bytes, size_t size);

// Little-endian float32, int32, int64, bool and uint8, in C or Fortran order (the tensor is always in C order). `name`
// is for messages. out->data is freed by the caller.
bool stp_npy_parse(stp_tensor *out, const void *bytes, size_t size, const char *name, struct stp_error *error);

// Version 1.0, C order. False if the file cannot take it; errno says why.
bool stp_npy_write(FILE *file, const stp_tensor *tensor);

#endif
