// SPDX-License-Identifier: Apache-2.0
// The state of `stipple run`, and its parts: feed.c sets inputs, save.c writes files, report.c tells.
#ifndef STP_RUN_H
#define STP_RUN_H

#include "fit.h"
#include "json.h"
#include "model.h"
#include "photos.h"

enum stp_task { STP_TASK_NONE, STP_TASK_CLASSIFY, STP_TASK_SEGMENT };

// --input NAME=FILE
struct stp_run_input {
    const char *argument;
    const stp_model_port *port;
    stp_tensor tensor; // data is owned
};

struct stp_run {
    struct stp_tool *tool;
    // What the arguments ask:
    const char *model_path, *device_name;
    const char *output, *masks; // folders, or NULL
    struct stp_run_input *inputs;
    size_t n_inputs;
    struct stp_photos photos;
    bool has_seed, dense, exact, json;
    int64_t seed;
    int runs;
    // What follows:
    struct stp_loaded loaded;
    double load_ms;
    enum stp_task task;
    cJSON *labels; // an array of strings, or NULL
    struct stp_fit_rules rules;
    const stp_model_port *photo_port; // the input that the photo feeds; NULL without photos
    stp_device *device;
    stp_session *session;
};

// One pass over the network: a photo, or the inputs alone.
struct stp_shot {
    const struct stp_photo *source; // NULL: no photo
    struct stp_image image;
    struct stp_fit fit;
    double compile_ms, first_ms;
    double *warm_ms; // run->runs values, ascending, or NULL
    stp_session_stats stats;
    char *overlay; // path of the overlay of segments, or NULL
};

// feed.c. These return -1 to go on, else the exit status, with the sentence said.
int stp_feed_metadata(struct stp_run *run); // task, labels, image rules
int stp_feed_read(struct stp_run *run);     // reads --input files, checks that every input gets a value
bool stp_feed_set(struct stp_run *run);     // sets everything but the photo
bool stp_feed_photo(struct stp_run *run, struct stp_shot *shot);
// The seed that counts: --seed, --input seed=, or the model's default; NULL if the model has no input of that name (or
// its default is not known). `value` has room for one.
const stp_tensor *stp_feed_seed(const struct stp_run *run, stp_tensor *tensor, int64_t *value);
const stp_model_port *stp_feed_port(const stp_model *model, const char *name);

// save.c
bool stp_save_check(struct stp_run *run); // what can be told before running: folders, names
bool stp_save(struct stp_run *run, struct stp_shot *shot);

// report.c
bool stp_report_check(struct stp_run *run); // after running, before anything is written: the task's output is there
bool stp_report_text(struct stp_run *run, const struct stp_shot *shot);
bool stp_report_json(struct stp_run *run, const struct stp_shot *shot, cJSON *object);

#endif
