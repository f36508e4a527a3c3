// SPDX-License-Identifier: Apache-2.0
// What a search for the fastest choices notes: which are right, and, in the cache, how fast each was.
#ifndef STP_TUNE_TRIALS_H
#define STP_TUNE_TRIALS_H

#include "device/tuned.h"

// Of a program, or of a choice that it computes.
struct stp_trial_verdict {
    char key[2 * STP_TUNED_TEXT + 2];
    bool right;
};
struct stp_trial_verdicts {
    struct stp_trial_verdict *items; // free()
    size_t count, capacity;
};

// Whether the choice gives the right bits: found in a child process where its program is new, since a driver may crash over it; in this one
// where only numbers are new that it is launched with. Unknown: the child process could not finish.
enum stp_verdict stp_trial_verdict(struct stp_trial_verdicts *verdicts, struct stp_device *device, const struct stp_conv_shape *class,
                                   const struct stp_conv_choice *choice);

// Into the cache, for this driver, with the choice that its time was compared with; and all that were kept for it.
void stp_trials_keep(struct stp_device *device, const struct stp_tuned *trial, const struct stp_conv_choice *before);
typedef void (*stp_trial_visit)(void *user, const struct stp_tuned *trial, const struct stp_conv_choice *before);
void stp_trials_recall(struct stp_device *device, stp_trial_visit visit, void *user);

#endif
