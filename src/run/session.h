// SPDX-License-Identifier: Apache-2.0
#ifndef STP_RUN_SESSION_H
#define STP_RUN_SESSION_H

#include <stipple/session.h>

#include "run/model.h"
#include "run/plan.h"

struct stp_session {
    stp_context *context;
    stp_model *model;
    stp_device *device;
    stp_session_params params;
    struct stp_constants constants;
    struct stp_plan *plan;
    const struct stp_tuned_table *tuned; // of a trial; NULL: the device's
    bool stale;            // an input's shape changed since the plan was made
    stp_tensor *inputs;    // copies; data NULL until set
    stp_tensor *outputs;   // of the last run
    bool has_run;
    double prepare_ms, run_ms, device_ms;

    // What is read back when it is asked for (report.c).
    bool has_masks, has_nodes;
    unsigned char *mask_bytes, *raw_masks;
    struct stp_session_mask *masks;
    struct stp_session_node *nodes;
    stp_session_macs macs;
};

// Drops the plan and the weights on the device; the inputs stay. The next run prepares anew.
void stp_session_forget(stp_session *session);
// report.c: the first bytes of a slot, once everything that is enqueued is done.
stp_status stp_session_read_slot(stp_session *session, int slot, size_t bytes, void *to);
// nodes.c: fills session->nodes and session->macs from the last run, whose masks have been read back.
stp_status stp_session_count_nodes(stp_session *session);

#endif
