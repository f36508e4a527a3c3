// SPDX-License-Identifier: Apache-2.0
// Tuning by whole runs: a trial is a session in which every class of convolutions is computed by its next candidate at once, taking turns
// with a session as it is without tuning, so that each is timed where it will run, with its neighbours' traces in the caches.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <stipple/tune.h>

#include "device/cache.h"
#include "device/tuned.h"
#include "run/session.h"
#include "run/verify.h"
#include "tune/candidates.h"
#include "tune/trials.h"

enum { BUDGET_S = 120 };
// Rounds of a comparison: as many as take so long (ms), within bounds.
enum { TRIAL_MS = 1000, LEAST_ROUNDS = 4, MOST_ROUNDS = 12, LAST_MS = 6000, LEAST_LAST = 6, MOST_LAST = 60 };
// A candidate that is not faster by so much is not told from noise; one that is slower by so much after a first round is given up.
static const double gain = 0.985, hopeless = 1.1;

// One way of computing a class.
struct trial {
    struct stp_conv_choice choice;
    double ratio; // of its time to that without tuning; 0: not tried yet, ∞: not to be used
};

struct class {
    struct stp_conv_shape shape;  // as stp_conv_class() gives it
    struct stp_conv_shape sample; // one of the class, for estimates
    struct stp_conv_choice before;
    struct trial *trials;
    size_t n_trials, cap_trials;
    size_t best, current; // among the trials; 0: what is used without tuning
    bool tries;           // in this trial session
    bool was_stored;      // there is a result already: trial 1
    double ms[2];         // of all its nodes: in the last comparison, without tuning and with the trial
    size_t nodes;
};

struct search {
    stp_session *session; // whose model and inputs these are
    struct stp_device *device;
    stp_tune_params params;
    double start, seconds;
    stp_session *before;                // without tuning
    const struct stp_tuned_table *base; // what it uses: nothing, but in tests
    struct class *classes;
    size_t n_classes;
    size_t done;
    bool stopped, complete;
    struct stp_trial_verdicts verdicts;
    double run_ms[2];
};

// Progress -----------------------------------------------------------------------------------------------------------

static double spent(const struct search *search)
{
    return (stp_now_ms() - search->start) * 1e-3;
}

// Trials that are left if nothing better is found: the longest queue.
static size_t count_left(const struct search *search)
{
    size_t most = 0;
    for (size_t i = 0; i < search->n_classes; i++) {
        size_t left = 0;
        for (size_t t = 0; t < search->classes[i].n_trials; t++)
            left += search->classes[i].trials[t].ratio == 0;
        most = left > most ? left : most;
    }
    return most;
}

static double find_gain(const struct search *search)
{
    double before = 0, after = 0;
    for (size_t i = 0; i < search->n_classes; i++) {
        before += search->classes[i].ms[0];
        after += search->classes[i].ms[0] * search->classes[i].trials[search->classes[i].best].ratio;
    }
    return before > 0 ? 1 - after / before : 0;
}

static void tell(struct search *search, const char *what)
{
    const size_t left = count_left(search);
    const double budget_left = fmax(0, search->seconds - spent(search));
    const stp_tune_progress progress = {
        .what = what,
        .done = search->done,
        .total = search->done + left,
        .gain = find_gain(search),
        .seconds_left = search->done ? fmin(budget_left, spent(search) / (double)search->done * (double)left) : budget_left};
    if (search->params.progress && !search->params.progress(search->params.progress_user, &progress))
        search->stopped = true;
}

// A first trial is worth a minute, however small the budget.
static bool is_over(const struct search *search)
{
    enum { FIRST_S = 60 };
    return search->stopped || spent(search) >= (search->done ? search->seconds : fmax(search->seconds, FIRST_S));
}

// Sessions -----------------------------------------------------------------------------------------------------------

// Of the same model, parameters and inputs, ready to be timed.
static stp_status twin(stp_session **out, const struct search *search, const struct stp_tuned_table *tuned)
{
    const stp_session *session = search->session;
    stp_session_params params = session->params;
    params.profile = true;
    params.progress = NULL;
    STP_TRY(stp_session_create(out, session->model, session->device, &params));
    (*out)->tuned = tuned;
    const struct stp_graph *graph = session->model->graph;
    for (int i = 0; i < graph->n_inputs; i++)
        if (session->inputs[i].data)
            STP_TRY(stp_session_set_input(*out, graph->inputs[i]->name, &session->inputs[i]));
    return stp_session_run(*out);
}

static struct class *find_class(const struct search *search, const struct stp_conv_shape *shape)
{
    const struct stp_conv_shape wanted = stp_conv_class(shape);
    for (size_t i = 0; i < search->n_classes; i++)
        if (!memcmp(&search->classes[i].shape, &wanted, sizeof wanted)) // int64_t alone
            return &search->classes[i];
    return NULL;
}

// Adds what the convolutions of `session` took, node by node the least of all rounds: least[n_convs].
static void note_times(const stp_session *session, double *least)
{
    const struct stp_plan *plan = session->plan;
    for (int c = 0; c < plan->n_convs; c++) {
        double ms = 0;
        for (int s = 0; s < plan->n_steps; s++)
            if (plan->steps[s]->node == plan->convs[c].node)
                ms += plan->steps[s]->ms;
        least[c] = least[c] > 0 ? fmin(least[c], ms) : ms;
    }
}

static void sum_by_class(struct search *search, const double *least, int which)
{
    const struct stp_plan *plan = search->before->plan;
    for (size_t i = 0; i < search->n_classes; i++)
        search->classes[i].ms[which] = 0;
    for (int c = 0; c < plan->n_convs; c++)
        find_class(search, &plan->convs[c].shape)->ms[which] += least[c];
}

static bool is_hopeless(const struct search *search)
{
    for (size_t i = 0; i < search->n_classes; i++) {
        const struct class *class = &search->classes[i];
        if (class->tries && class->ms[1] < hopeless * class->trials[class->best].ratio * class->ms[0])
            return false;
    }
    return true;
}

// As many rounds as take `ms`, but no less and no more than these.
static int count_rounds(const struct search *search, double ms, int least, int most)
{
    const double rounds = ms / fmax(1e-3, 2 * search->before->run_ms);
    return rounds < least ? least : rounds > most ? most : (int)rounds;
}

// Both sessions in turns, each the first in every other round; fills every class's ms. `may_end`: after the first already.
static stp_status compare(struct search *search, stp_session *trial, int rounds, bool may_end)
{
    stp_session *const sessions[2] = {search->before, trial};
    const size_t convs = (size_t)search->before->plan->n_convs;
    double *least[2] = {calloc(convs + 1, sizeof **least), calloc(convs + 1, sizeof **least)};
    stp_status status = least[0] && least[1] ? STP_OK : stp_fail_memory(search->device->context, convs * sizeof **least, "times");
    search->run_ms[0] = search->run_ms[1] = INFINITY;
    for (int turn = 0; turn < 2 * rounds && status == STP_OK; turn++) {
        const int which = (turn + turn / 2) % 2;
        status = stp_session_run(sessions[which]);
        if (status != STP_OK)
            break;
        note_times(sessions[which], least[which]);
        search->run_ms[which] = fmin(search->run_ms[which], sessions[which]->run_ms);
        if (turn % 2 == 0)
            continue;
        if (!may_end)
            tell(search, "comparing the best with what is used without tuning");
        for (int i = 0; i < 2; i++)
            sum_by_class(search, least[i], i);
        if (may_end && is_hopeless(search))
            break;
    }
    free(least[0]);
    free(least[1]);
    return status;
}

// Classes and their candidates ---------------------------------------------------------------------------------------

static bool add_trial(struct class *class, const struct stp_conv_choice *choice, double ratio)
{
    for (size_t i = 0; i < class->n_trials; i++)
        if (stp_same_choice(&class->trials[i].choice, choice)) {
            if (ratio > 0 && i > 0)
                class->trials[i].ratio = ratio;
            return true;
        }
    struct trial *grown = stp_grow(class->trials, class->n_trials, &class->cap_trials, sizeof *grown);
    if (!grown)
        return false;
    class->trials = grown;
    class->trials[class->n_trials++] = (struct trial){*choice, ratio};
    return true;
}

static bool add_trials(struct class *class, const struct stp_candidates *candidates)
{
    for (size_t i = 0; i < candidates->count; i++)
        if (!add_trial(class, &candidates->items[i], 0))
            return false;
    return true;
}

static void find_best(struct class *class)
{
    class->best = 0;
    for (size_t i = 1; i < class->n_trials; i++)
        if (class->trials[i].ratio > 0 && class->trials[i].ratio < gain * class->trials[class->best].ratio)
            class->best = i;
}

// A ratio that says: not to be used.
enum { UNUSABLE = 100000 };

static struct stp_tuned entry_of(const struct class *class, const struct trial *trial)
{
    const double permille = fmin(trial->ratio * 1000, UNUSABLE);
    return (struct stp_tuned){
        .class = class->shape, .choice = trial->choice, .permille = permille < 1 ? 1 : (int)lround(permille), .is_verified = true};
}

static void recall_trial(void *user, const struct stp_tuned *trial, const struct stp_conv_choice *before)
{
    struct search *search = user;
    struct class *class = find_class(search, &trial->class);
    if (class && stp_same_choice(before, &class->before) &&
        stp_worksize_conv_fits(&search->device->limits, &class->sample, &trial->choice))
        add_trial(class, &trial->choice, trial->permille < UNUSABLE ? trial->permille / 1000.0 : INFINITY); // short memory costs a trial
}

// The first trial of a class is what is used without tuning, the second what an earlier tuning, or somebody else's, found.
static stp_status make_class(struct search *search, const struct stp_plan_conv *conv)
{
    struct class *class = &search->classes[search->n_classes];
    struct stp_candidates core;
    const struct stp_tuned_table *table = stp_device_tuned(search->device);
    const struct stp_tuned *stored = table ? stp_tuned_find(table, &conv->shape) : NULL;
    *class = (struct class){.shape = stp_conv_class(&conv->shape), .sample = conv->shape, .before = conv->choice};
    stp_candidates_core(&core, &search->device->limits, &conv->shape, search->params.all);
    search->n_classes++;
    bool ok = add_trial(class, &conv->choice, 1);
    if (stored && !stp_same_choice(&stored->choice, &conv->choice) &&
        stp_worksize_conv_fits(&search->device->limits, &conv->shape, &stored->choice)) {
        class->was_stored = true;
        ok = ok && add_trial(class, &stored->choice, 0);
    }
    return ok && add_trials(class, &core)
               ? STP_OK
               : stp_fail_memory(search->device->context, sizeof core, "candidates");
}

static stp_status make_classes(struct search *search)
{
    const struct stp_plan *plan = search->before->plan;
    search->classes = calloc((size_t)plan->n_convs + 1, sizeof *search->classes);
    if (!search->classes)
        return stp_fail_memory(search->device->context, (size_t)plan->n_convs * sizeof *search->classes, "classes");
    for (int c = 0; c < plan->n_convs; c++) {
        if (!find_class(search, &plan->convs[c].shape))
            STP_TRY(make_class(search, &plan->convs[c]));
        find_class(search, &plan->convs[c].shape)->nodes++;
    }
    stp_trials_recall(search->device, recall_trial, search);
    for (size_t i = 0; i < search->n_classes; i++)
        find_best(&search->classes[i]);
    return STP_OK;
}

// The trial that is at hand, in this search or `for_good`.
static void give_up(struct search *search, struct class *class, bool for_good)
{
    struct trial *trial = &class->trials[class->current];
    trial->ratio = INFINITY;
    const struct stp_tuned entry = entry_of(class, trial);
    if (for_good)
        stp_trials_keep(search->device, &entry, &class->before);
}

// The next that was not tried; where all were, what is near the best.
static stp_status next_trial(struct search *search, struct class *class, bool *found)
{
    struct stp_candidates near;
    *found = false;
    for (int i = 0; i < 2; i++) {
        for (class->current = 0; class->current < class->n_trials; class->current++) {
            struct trial *trial = &class->trials[class->current];
            if (trial->ratio > 0)
                continue;
            tell(search, "holding candidates against the reference");
            if (is_over(search))
                return STP_OK;
            const enum stp_verdict verdict = stp_trial_verdict(&search->verdicts, search->device, &class->shape, &trial->choice);
            *found = verdict == STP_VERDICT_RIGHT;
            if (*found)
                return STP_OK;
            give_up(search, class, verdict == STP_VERDICT_WRONG);
        }
        stp_candidates_near(&near, &search->device->limits, &class->sample, &class->trials[class->best].choice, search->params.all);
        if (!add_trials(class, &near))
            return stp_fail_memory(search->device->context, sizeof near, "candidates");
    }
    return STP_OK;
}

// Searching ----------------------------------------------------------------------------------------------------------

// What a class is computed by unless it tries something: its best; where that is what is used without tuning, nothing of ours.
static bool put_best(const struct search *search, struct stp_tuned_table *table, const struct class *class)
{
    const struct stp_tuned *base = stp_tuned_find(search->base, &class->shape);
    if (!class->best)
        return !base || stp_tuned_put(table, base);
    const struct stp_tuned tuned = entry_of(class, &class->trials[class->best]);
    return stp_tuned_put(table, &tuned);
}

// Every class by its next candidate, or by its best one where there is none. *any: there is one.
static stp_status fill_table(struct search *search, struct stp_tuned_table *table, bool *any)
{
    *any = false;
    for (size_t i = 0; i < search->n_classes; i++) {
        struct class *class = &search->classes[i];
        STP_TRY(next_trial(search, class, &class->tries));
        *any |= class->tries;
        if (is_over(search))
            return STP_OK;
        const struct stp_tuned tuned = class->tries ? entry_of(class, &class->trials[class->current]) : (struct stp_tuned){0};
        if (!(class->tries ? stp_tuned_put(table, &tuned) : put_best(search, table, class)))
            return stp_fail_memory(search->device->context, sizeof tuned, "choices");
    }
    return STP_OK;
}

static void note_trials(struct search *search)
{
    for (size_t i = 0; i < search->n_classes; i++) {
        struct class *class = &search->classes[i];
        if (!class->tries)
            continue;
        struct trial *trial = &class->trials[class->current];
        trial->ratio = class->ms[0] > 0 ? fmax(1e-3, class->ms[1] / class->ms[0]) : 1;
        const struct stp_tuned entry = entry_of(class, trial);
        stp_trials_keep(search->device, &entry, &class->before);
        find_best(class);
    }
    search->done++;
}

// Candidates of this session cannot be run whole; which of them is not known. Where nothing runs any more, that is the end.
static stp_status drop_trials(struct search *search)
{
    stp_log(search->device->context, STP_LOG_WARN, "not used: candidates that fail in a run: %s", stp_last_error(search->device->context));
    STP_TRY(stp_session_run(search->before));
    for (size_t i = 0; i < search->n_classes; i++)
        if (search->classes[i].tries)
            give_up(search, &search->classes[i], false);
    return STP_OK;
}

static stp_status try_next(struct search *search, bool *any)
{
    struct stp_tuned_table table = {0};
    stp_session *trial = NULL;
    stp_status status = fill_table(search, &table, any);
    if (status == STP_OK && *any && !is_over(search)) {
        tell(search, "timing candidates");
        status = twin(&trial, search, &table);
        if (status == STP_OK)
            status = compare(search, trial, count_rounds(search, TRIAL_MS, LEAST_ROUNDS, MOST_ROUNDS), true);
        if (status == STP_OK)
            note_trials(search);
        stp_session_destroy(&trial);
        if (status == STP_ERROR_DEVICE || status == STP_ERROR_OUT_OF_MEMORY)
            status = drop_trials(search);
    }
    free(table.items);
    return status;
}

// The best of all classes together, once more and longer: what does not hold is given up. *again: something was.
static stp_status confirm(struct search *search, bool *again)
{
    struct stp_tuned_table table = {0};
    stp_session *after = NULL;
    stp_status status = STP_OK;
    *again = false;
    for (size_t i = 0; i < search->n_classes && status == STP_OK; i++)
        if (!put_best(search, &table, &search->classes[i]))
            status = stp_fail_memory(search->device->context, sizeof *search->classes, "choices");
    stp_session_destroy(&search->before); // both are new: where memory lies makes a percent
    if (status == STP_OK)
        status = twin(&after, search, &table);
    if (status == STP_OK)
        status = twin(&search->before, search, search->base);
    if (status == STP_OK)
        status = compare(search, after, count_rounds(search, LAST_MS, LEAST_LAST, MOST_LAST), false);
    for (size_t i = 0; i < search->n_classes && status == STP_OK; i++) {
        struct class *class = &search->classes[i];
        const bool holds = class->ms[1] <= gain * class->ms[0];
        *again |= class->best && !holds;
        if (!holds)
            class->best = 0;
    }
    stp_session_destroy(&after);
    free(table.items);
    return status;
}

// Gains in single kernels that the whole run does not have.
static void give_all_up(struct search *search)
{
    for (size_t i = 0; i < search->n_classes; i++)
        search->classes[i].best = 0;
    search->run_ms[1] = search->run_ms[0];
}

// What was found; what an earlier tuning found stays where there was no time to look at it.
static stp_status keep(struct search *search)
{
    stp_cache_be_patient(stp_device_cache(search->device));
    for (size_t i = 0; i < search->n_classes; i++) {
        const struct class *class = &search->classes[i];
        if (class->best) {
            struct trial kept = class->trials[class->best];
            kept.ratio = class->ms[1] / class->ms[0];
            const struct stp_tuned tuned = entry_of(class, &kept);
            STP_TRY(stp_device_keep_tuned(search->device, &tuned));
        } else if (!class->was_stored || class->trials[1].ratio > 0) {
            stp_device_drop_tuned(search->device, &class->shape);
        }
    }
    if (!stp_cache_keeps(stp_device_cache(search->device)))
        stp_log(search->device->context, STP_LOG_WARN,
                "what was found lasts as long as the device is open: there is no cache to keep it in (see: stipple cache path)");
    return STP_OK;
}

static stp_status run_search(struct search *search)
{
    if (!search->device->profiling)
        return stp_fail(search->device->context, STP_ERROR_UNSUPPORTED,
                        "tuning needs a command queue that tells how long kernels took (CL_QUEUE_PROFILING_ENABLE)");
    STP_TRY(twin(&search->before, search, search->base));
    STP_TRY(make_classes(search));
    STP_TRY(compare(search, search->before, 1, false)); // for what is told first
    bool any = true, again = true;
    while (any && !is_over(search))
        STP_TRY(try_next(search, &any));
    search->complete = !any && !is_over(search);
    for (int i = 0; i < 2 && again; i++) // what is told is of what holds
        STP_TRY(confirm(search, &again));
    if (search->run_ms[1] >= search->run_ms[0])
        give_all_up(search);
    return keep(search);
}

// The result ---------------------------------------------------------------------------------------------------------

struct stp_tuning {
    struct stp_arena arena;
    stp_tuned_class *classes;
    size_t count;
    double run_ms[2];
    bool complete;
};

static const char *keep_text(struct stp_arena *arena, const char *text)
{
    return stp_arena_string(arena, text, strlen(text));
}

static int by_time(const void *a, const void *b)
{
    const double left = ((const stp_tuned_class *)a)->before_ms, right = ((const stp_tuned_class *)b)->before_ms;
    return (left < right) - (left > right);
}

static stp_status make_result(stp_tuning **out, const struct search *search)
{
    stp_tuning *tuning = calloc(1, sizeof *tuning);
    if (!tuning || !(tuning->classes = stp_arena_array(&tuning->arena, search->n_classes, sizeof *tuning->classes)))
        goto short_memory;
    for (size_t i = 0; i < search->n_classes; i++) {
        const struct class *class = &search->classes[i];
        char shape[STP_TUNED_TEXT], before[STP_TUNED_TEXT], after[STP_TUNED_TEXT];
        stp_conv_class_text(shape, &class->shape);
        stp_conv_choice_text(before, &class->before);
        stp_conv_choice_text(after, &class->trials[class->best].choice);
        stp_tuned_class *told = &tuning->classes[tuning->count++];
        *told = (stp_tuned_class){.shape = keep_text(&tuning->arena, shape),
                                  .before = keep_text(&tuning->arena, before),
                                  .after = keep_text(&tuning->arena, after),
                                  .nodes = class->nodes,
                                  .before_ms = class->ms[0],
                                  .after_ms = class->best ? class->ms[1] : class->ms[0]};
        for (size_t t = 0; t < class->n_trials; t++)
            told->tried += class->trials[t].ratio > 0;
        if (!told->shape || !told->before || !told->after)
            goto short_memory;
    }
    if (tuning->count)
        qsort(tuning->classes, tuning->count, sizeof *tuning->classes, by_time);
    memcpy(tuning->run_ms, search->run_ms, sizeof tuning->run_ms);
    tuning->complete = search->complete;
    *out = tuning;
    return STP_OK;
short_memory:
    stp_tuning_destroy(&tuning);
    return stp_fail_memory(search->device->context, search->n_classes * sizeof *tuning->classes, "the result of tuning");
}

stp_status stp_session_tune(stp_tuning **out, stp_session *session, const stp_tune_params *params)
{
    if (!out || !session)
        return STP_ERROR_INVALID_ARGUMENT;
    *out = NULL;
    static const struct stp_tuned_table nothing;
    struct search search = {.session = session,
                            .device = session->device,
                            .base = session->tuned ? session->tuned : &nothing,
                            .start = stp_now_ms()};
    if (params)
        search.params = *params;
    stp_session_forget(session); // there will be three of them
    search.seconds = search.params.seconds > 0 ? search.params.seconds : BUDGET_S;
    stp_status status = run_search(&search);
    if (status == STP_OK)
        status = make_result(out, &search);
    stp_session_destroy(&search.before);
    for (size_t i = 0; i < search.n_classes; i++)
        free(search.classes[i].trials);
    free(search.classes);
    free(search.verdicts.items);
    return status;
}

void stp_tuning_destroy(stp_tuning **tuning)
{
    if (!tuning || !*tuning)
        return;
    stp_arena_free(&(*tuning)->arena);
    free(*tuning);
    *tuning = NULL;
}

size_t stp_tuning_count(const stp_tuning *tuning)
{
    return tuning ? tuning->count : 0;
}

const stp_tuned_class *stp_tuning_get(const stp_tuning *tuning, size_t index)
{
    return tuning && index < tuning->count ? &tuning->classes[index] : NULL;
}

void stp_tuning_run_ms(const stp_tuning *tuning, double *before, double *after)
{
    if (before)
        *before = tuning ? tuning->run_ms[0] : 0;
    if (after)
        *after = tuning ? tuning->run_ms[1] : 0;
}

bool stp_tuning_is_complete(const stp_tuning *tuning)
{
    return tuning && tuning->complete;
}
