// SPDX-License-Identifier: Apache-2.0
// Status codes. Every function that can fail returns one; the sentence for people is stp_last_error() of the context.
#ifndef STIPPLE_STATUS_H
#define STIPPLE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define STP_API __attribute__((visibility("default")))
#else
#define STP_API
#endif

typedef enum stp_status {
    STP_OK = 0,
    STP_ERROR_INVALID_ARGUMENT, // the caller's mistake: a NULL, a name that does not exist, a tensor of the wrong shape
    STP_ERROR_INVALID_MODEL,    // the model file is damaged or contradicts itself
    STP_ERROR_UNSUPPORTED,      // valid, but not implemented here or not possible on this device
    STP_ERROR_OUT_OF_MEMORY,    // host or device memory
    STP_ERROR_DEVICE,           // an OpenCL call failed; the message names the call and its code
    STP_ERROR_IO,               // a file could not be read or written
} stp_status;

// A short constant English name, such as "invalid model". Never NULL. Thread-safety: any thread.
STP_API const char *stp_status_name(stp_status status);

// The library's version as "MAJOR.MINOR.PATCH". Thread-safety: any thread.
STP_API const char *stp_version(void);

#ifdef __cplusplus
}
#endif
#endif
