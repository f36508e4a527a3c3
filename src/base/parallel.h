// SPDX-License-Identifier: Apache-2.0
// Work of the host on several cores: preparing weights.
#ifndef STP_BASE_PARALLEL_H
#define STP_BASE_PARALLEL_H

#include <stdint.h>

// work(user, i) for every i of 0 … count − 1, in any order, on this thread and on others that have ended on return. Starting
// one costs some 50 µs. What `work` does for one i must not depend on another.
void stp_parallel(int64_t count, void (*work)(void *user, int64_t i), void *user);

#endif
