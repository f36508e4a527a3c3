// SPDX-License-Identifier: Apache-2.0
// The state of `stipple run`, `stipple bench` and `stipple tune`, and what they share: job.c leads from arguments to sessions, feed.c sets
// inputs, report.c tells; save.c writes run's files.
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
    const char *verb;
    // What the arguments ask:
    const char *model_path, *device_name;
    const char *output, *masks; // folders, or NULL
    struct stp_run_input *inputs;
    size_t n_inputs;
    struct stp_photos photos;
    bool has_seed, dense, exact, json;
    bool stand_in; // where no photo is given, a painted picture feeds the input that one would
    int64_t seed;
    int runs;
    // What follows:
    struct stp_loaded loaded;
    double load_ms;
    enum stp_task task;
    cJSON *labels; // an array of strings, or NULL
    struct stp_fit_rules rules;
    const stp_model_port *photo_port; // the input that the photo, or the picture in its place, feeds; NULL without one
    stp_device *device;
    stp_session *session; // whose results are told
    stp_session *twin;    // bench's dense one, which is fed the same; else NULL
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

// job.c. Options that these verbs have, numbers for a verb's own, and the steps in their order; those that return int give
// -1 to go on, else the exit status, with the sentence said.
enum {
    STP_OPTION_INPUT = 256,
    STP_OPTION_SEED,
    STP_OPTION_DEVICE,
    STP_OPTION_EXACT,
    STP_OPTION_RUNS,
    STP_OPTION_JSON,
    STP_OPTION_OWN
};
#define STP_JOB_LONG                                                                                                   \
    {"input", required_argument, NULL, STP_OPTION_INPUT}, {"seed", required_argument, NULL, STP_OPTION_SEED},          \
        {"device", required_argument, NULL, STP_OPTION_DEVICE}, {"exact", no_argument, NULL, STP_OPTION_EXACT},        \
        {"runs", required_argument, NULL, STP_OPTION_RUNS},                                                            \
    {                                                                                                                  \
        "json", no_argument, NULL, STP_OPTION_JSON                                                                     \
    }
int stp_job_begin(struct stp_run *run, int argc);                                   // before the options
int stp_job_option(struct stp_run *run, int option, char **argv, const char *help); // also those of every verb
int stp_job_photos(struct stp_run *run, int argc, char **argv); // names the model (argv[optind]), finds the photos
int stp_job_model(struct stp_run *run);                         // loads the model and the --input files
bool stp_job_open(struct stp_run *run);                         // the device
// For the verbs that take one photo or none (`stand_in` where they need one): a session, which has all its inputs.
bool stp_job_fed(struct stp_run *run, bool profile);
bool stp_job_session(struct stp_run *run, stp_session **out, bool dense, bool profile);
void stp_job_end(struct stp_run *run);
bool stp_job_ok(struct stp_run *run, stp_status status); // else the library's sentence becomes the tool's
bool stp_job_number(int64_t *out, const char *text, int64_t least, int64_t most); // a whole decimal number within these
double stp_job_now_ms(void);
void stp_job_sort(double *values, int count); // ascending
double stp_job_median(const double *ascending, int count);

// feed.c. These return -1 to go on, else the exit status, with the sentence said.
int stp_feed_metadata(struct stp_run *run); // task, labels, image rules
int stp_feed_read(struct stp_run *run);     // reads --input files, checks that every input gets a value
bool stp_feed_set(struct stp_run *run);     // sets everything but the photo, in both sessions
bool stp_feed_photo(struct stp_run *run, struct stp_shot *shot);
// The seed that counts: --seed, --input seed=, or the model's default; NULL if the model has no input of that name (or
// its default is not known). `value` has room for one.
const stp_tensor *stp_feed_seed(const struct stp_run *run, stp_tensor *tensor, int64_t *value);
const stp_model_port *stp_feed_port(const stp_model *model, const char *name);

// save.c
bool stp_save_check(struct stp_run *run); // what can be told before running: folders, names
bool stp_save(struct stp_run *run, struct stp_shot *shot);

// report.c: of run->session's last run
bool stp_report_check(struct stp_run *run); // after running, before anything is written: the task's output is there
bool stp_report_text(struct stp_run *run, const struct stp_shot *shot);
bool stp_report_json(struct stp_run *run, const struct stp_shot *shot, cJSON *object);
// The parts of these that bench prints too.
void stp_report_model(const struct stp_run *run);                       // device, model
bool stp_report_head(struct stp_run *run, const struct stp_shot *shot); // these, photo, seed, masks
void stp_report_macs(const stp_session_macs *macs);
bool stp_report_json_head(struct stp_run *run, const struct stp_shot *shot, cJSON *object); // device … macs
cJSON *stp_report_json_memory(const stp_session_stats *stats, cJSON *object);
bool stp_report_json_outputs(struct stp_run *run, cJSON *object); // outputs, labels

#endif
