// SPDX-License-Identifier: Apache-2.0
// A child process that a driver may take down with it.
#ifndef STP_DEVICE_CHILD_H
#define STP_DEVICE_CHILD_H

#include <sys/types.h>

#include "base/base.h"

// Where the helper program writes its answer.
enum { STP_CHILD_ANSWER_FD = 3 };

// A run of the helper program stipple-probe.
struct stp_child {
    char answer[1024]; // the line it wrote, without its newline; "" if it wrote none
    char death[1024];  // then how it ended: "signal 6 (Aborted): last words", "no answer in 60 s"
    bool crashed;      // by a signal that is the process's own doing, such as SIGSEGV or SIGABRT
};

// The path of the helper: beside the library (a build folder), else where it is installed. false if it is not there.
bool stp_child_helper(char *path, size_t size);

// `arguments`, at most eight, stand behind the library's version and end with NULL. `vendors`: NULL, or the folder of
// driver files (.icd) that OpenCL's loader is to read. An error (I/O, out of memory) only if the program cannot be
// started.
stp_status stp_child_run(struct stp_child *out, stp_context *context, const char *helper, const char *const *arguments,
                         const char *vendors, int timeout_ms);

// The same without waiting for it or listening to it: its process, or 0 if it cannot be started.
pid_t stp_child_start(const char *helper, const char *const *arguments);
// Whether it still runs. If not, or once it has been stopped, it is no more.
bool stp_child_runs(pid_t child);
void stp_child_stop(pid_t child);

#endif
