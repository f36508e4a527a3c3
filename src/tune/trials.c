// SPDX-License-Identifier: Apache-2.0
#include "tune/trials.h"

#include <stdio.h>
#include <stdlib.h>

#include "device/cache.h"
#include "run/verify.h"
#include "sparse/conv_rows.h"

// Verdicts -----------------------------------------------------------------------------------------------------------

static const struct stp_trial_verdict *find(const struct stp_trial_verdicts *verdicts, const char *key)
{
    for (size_t i = 0; i < verdicts->count; i++)
        if (!strcmp(verdicts->items[i].key, key))
            return &verdicts->items[i];
    return NULL;
}

// Without memory it is found out again.
static bool note(struct stp_trial_verdicts *verdicts, const char *key, bool right)
{
    if (verdicts->count == verdicts->capacity) {
        const size_t capacity = verdicts->capacity ? 2 * verdicts->capacity : 32;
        struct stp_trial_verdict *grown = realloc(verdicts->items, capacity * sizeof *grown);
        if (!grown)
            return right;
        verdicts->items = grown;
        verdicts->capacity = capacity;
    }
    struct stp_trial_verdict *verdict = &verdicts->items[verdicts->count++];
    snprintf(verdict->key, sizeof verdict->key, "%s", key);
    verdict->right = right;
    return right;
}

static bool is_right_here(struct stp_device *device, const struct stp_conv_shape *class, const struct stp_conv_choice *choice)
{
    bool right;
    char finding[256] = "", text[STP_TUNED_TEXT];
    const stp_status status = stp_verify_conv(device, class, choice, &right, finding);
    if (status == STP_OK && right)
        return true;
    stp_conv_choice_text(text, choice);
    stp_log(device->context, STP_LOG_WARN, "not used: %s: %s", text, status == STP_OK ? finding : stp_last_error(device->context));
    return false;
}

bool stp_trial_is_right(struct stp_trial_verdicts *verdicts, struct stp_device *device, const struct stp_conv_shape *class,
                        const struct stp_conv_choice *choice)
{
    const struct stp_conv_variant variant = stp_conv_variant(choice, class);
    char program[STP_TUNED_TEXT], text[STP_TUNED_TEXT], key[2 * STP_TUNED_TEXT + 2];
    snprintf(program, sizeof program, "%s %s", choice->winograd ? "winograd" : variant.kernel, variant.options);
    stp_conv_choice_text(text, choice);
    snprintf(key, sizeof key, "%s: %s", program, text);
    const struct stp_trial_verdict *known = find(verdicts, program);
    const bool builds = known ? known->right : note(verdicts, program, stp_device_verify(device, class, choice) != STP_VERDICT_WRONG);
    if (!builds)
        return false;
    known = find(verdicts, key);
    return known ? known->right : note(verdicts, key, is_right_here(device, class, choice));
}

// In the cache -------------------------------------------------------------------------------------------------------

struct key {
    char device[STP_IDENTITY_TEXT], driver[STP_IDENTITY_TEXT];
};

static struct key key_of(const struct stp_device *device)
{
    struct key key;
    stp_device_identity(key.device, &device->info);
    stp_device_driver(key.driver, &device->info);
    return key;
}

void stp_trials_keep(struct stp_device *device, const struct stp_tuned *trial)
{
    const struct key key = key_of(device);
    char class[STP_TUNED_TEXT], choice[STP_TUNED_TEXT], subject[2 * STP_TUNED_TEXT + 2], value[STP_TUNED_TEXT];
    stp_tuned_subject(class, &trial->class);
    stp_conv_choice_text(choice, &trial->choice);
    stp_tuned_value(value, trial);
    snprintf(subject, sizeof subject, "%s; %s", class, choice); // one class, many trials
    stp_cache_store_measurement(
        stp_device_cache(device),
        &(struct stp_measurement_key){.kind = STP_TRIAL, .device = key.device, .driver = key.driver, .subject = subject}, value);
}

struct recall {
    struct key key;
    stp_trial_visit visit;
    void *user;
};

static void recall(void *user, const struct stp_measurement_key *key, const char *value)
{
    const struct recall *to = user;
    char subject[STP_TUNED_TEXT];
    struct stp_tuned trial = {.origin = STP_TUNED_HERE};
    const char *semicolon = strchr(key->subject, ';');
    if (strcmp(key->device, to->key.device) || strcmp(key->driver, to->key.driver) || !semicolon ||
        semicolon - key->subject >= STP_TUNED_TEXT)
        return;
    snprintf(subject, sizeof subject, "%.*s", (int)(semicolon - key->subject), key->subject);
    if (stp_tuned_read(&trial, subject, value))
        to->visit(to->user, &trial);
}

void stp_trials_recall(struct stp_device *device, stp_trial_visit visit, void *user)
{
    struct recall to = {key_of(device), visit, user};
    stp_cache_each_measurement(stp_device_cache(device), STP_TRIAL, recall, &to);
}
