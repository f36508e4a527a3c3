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
    struct stp_trial_verdict *grown = stp_grow(verdicts->items, verdicts->count, &verdicts->capacity, sizeof *grown);
    if (!grown)
        return right;
    verdicts->items = grown;
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

enum stp_verdict stp_trial_verdict(struct stp_trial_verdicts *verdicts, struct stp_device *device, const struct stp_conv_shape *class,
                                   const struct stp_conv_choice *choice)
{
    const struct stp_conv_variant variant = stp_conv_variant(choice, class);
    char program[STP_TUNED_TEXT], text[STP_TUNED_TEXT], key[2 * STP_TUNED_TEXT + 2];
    snprintf(program, sizeof program, "%s %s", choice->winograd ? "winograd" : variant.kernel, variant.options);
    stp_conv_choice_text(text, choice);
    snprintf(key, sizeof key, "%s: %s", program, text);
    const struct stp_trial_verdict *known = find(verdicts, program);
    if (!known) {
        const enum stp_verdict verdict = stp_device_verify(device, class, choice);
        if (verdict == STP_VERDICT_UNKNOWN)
            return verdict;
        note(verdicts, program, verdict != STP_VERDICT_WRONG);
        if (verdict == STP_VERDICT_WRONG)
            return verdict;
    } else if (!known->right) {
        return STP_VERDICT_WRONG;
    }
    known = find(verdicts, key);
    const bool right = known ? known->right : note(verdicts, key, is_right_here(device, class, choice));
    return right ? STP_VERDICT_RIGHT : STP_VERDICT_WRONG;
}

// In the cache -------------------------------------------------------------------------------------------------------

// "KERNELS CLASS; CHOICE; BEFORE": a class has many trials.
void stp_trials_keep(struct stp_device *device, const struct stp_tuned *trial, const struct stp_conv_choice *before)
{
    const struct stp_device_key key = stp_device_key(&device->info);
    char class[STP_TUNED_TEXT], choice[STP_TUNED_TEXT], base[STP_TUNED_TEXT], subject[3 * STP_TUNED_TEXT + 4], value[STP_TUNED_TEXT];
    stp_tuned_subject(class, &trial->class);
    stp_conv_choice_text(choice, &trial->choice);
    stp_conv_choice_text(base, before);
    stp_tuned_value(value, trial);
    snprintf(subject, sizeof subject, "%s; %s; %s", class, choice, base);
    stp_cache_store_measurement(
        stp_device_cache(device),
        &(struct stp_measurement_key){.kind = STP_TRIAL, .device = key.device, .driver = key.driver, .subject = subject}, value);
}

struct recall {
    const char *driver;
    stp_trial_visit visit;
    void *user;
};

static void recall(void *user, const struct stp_measurement_key *key, const char *value)
{
    const struct recall *to = user;
    char subject[STP_TUNED_TEXT];
    struct stp_tuned trial;
    struct stp_conv_choice before;
    const char *first = strchr(key->subject, ';'), *last = strrchr(key->subject, ';');
    if (strcmp(key->driver, to->driver) || !first || first == last ||
        first - key->subject >= STP_TUNED_TEXT || last[1] != ' ')
        return;
    snprintf(subject, sizeof subject, "%.*s", (int)(first - key->subject), key->subject);
    if (stp_tuned_read(&trial, subject, value) && stp_conv_choice_read(&before, last + 2))
        to->visit(to->user, &trial, &before);
}

void stp_trials_recall(struct stp_device *device, stp_trial_visit visit, void *user)
{
    const struct stp_device_key key = stp_device_key(&device->info);
    struct recall to = {key.driver, visit, user};
    stp_cache_each_measurement(stp_device_cache(device), STP_TRIAL, key.device, recall, &to);
}
