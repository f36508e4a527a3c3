// SPDX-License-Identifier: Apache-2.0
#include "fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "resize.h"

// Metadata -----------------------------------------------------------------------------------------------------------

static bool parse_three(float *out, const char *key, const char *text, float fallback, struct stp_error *error)
{
    for (int i = 0; i < 3; i++)
        out[i] = fallback;
    const char *at = text;
    for (int i = 0; text && i < 3; i++) {
        char *end;
        out[i] = strtof(at, &end);
        if (end == at || !isfinite(out[i]) || *end != (i < 2 ? ',' : 0))
            return stp_error_set(error, "metadata %s is '%.60s', not three numbers with commas between", key, text);
        at = end + 1;
    }
    return true;
}

// A number of pixels from 1 to 2^20; NULL if there is none at `at`, else where it ends.
static const char *parse_pixels(int *out, const char *at)
{
    if (*at < '0' || *at > '9')
        return NULL;
    char *end;
    long value = strtol(at, &end, 10);
    if (value < 1 || value > 1 << 20)
        return NULL;
    *out = (int)value;
    return end;
}

// NAME=NUMBER, or exact=HxW, for one of the four names; each may come once.
static const char *parse_resize_item(struct stp_fit_rules *rules, const char *at)
{
    struct {
        const char *name;
        int *value;
    } items[] = {{"shorter=", &rules->shorter},
                 {"longer=", &rules->longer},
                 {"multiple=", &rules->multiple},
                 {"exact=", &rules->exact_height}};
    for (size_t i = 0; i < STP_COUNT(items); i++) {
        size_t length = strlen(items[i].name);
        if (strncmp(at, items[i].name, length) || *items[i].value)
            continue;
        at = parse_pixels(items[i].value, at + length);
        if (at && items[i].value == &rules->exact_height)
            at = *at == 'x' ? parse_pixels(&rules->exact_width, at + 1) : NULL;
        return at;
    }
    return NULL;
}

static bool parse_resize(struct stp_fit_rules *rules, const char *text)
{
    const char *at = text;
    do {
        at = parse_resize_item(rules, at);
    } while (at && *at++ == ',');
    return at && !at[-1] && !(rules->exact_height && (rules->shorter || rules->longer));
}

bool stp_fit_rules_parse(struct stp_fit_rules *out, const char *order, const char *mean, const char *std,
                         const char *resize, struct stp_error *error)
{
    *out = (struct stp_fit_rules){.resize = resize != NULL};
    if (order && strcmp(order, "RGB") && strcmp(order, "BGR"))
        return stp_error_set(error, "metadata stipple.image.order is '%.60s', not RGB or BGR", order);
    out->bgr = order && order[0] == 'B';
    if (!parse_three(out->mean, "stipple.image.mean", mean, 0, error) ||
        !parse_three(out->std, "stipple.image.std", std, 1, error))
        return false;
    for (int i = 0; i < 3; i++)
        if (out->std[i] == 0)
            return stp_error_set(error, "metadata stipple.image.std is '%.60s': a channel cannot be divided by 0", std);
    if (resize && !parse_resize(out, resize))
        return stp_error_set(error,
                             "metadata stipple.image.resize is '%.60s', not like shorter=1000,longer=1600,"
                             "multiple=32 or exact=224x224",
                             resize);
    return true;
}

// Sizes --------------------------------------------------------------------------------------------------------------

// Both sides times `scale`, rounded to the nearest, at least 1; sizes beyond an int become too large for the check that
// follows.
static void scale_photo(struct stp_fit *fit, double scale)
{
    double height = floor(fit->photo_height * scale + 0.5), width = floor(fit->photo_width * scale + 0.5);
    fit->height = height < 1 ? 1 : height > STP_IMAGE_MAX_PIXELS ? STP_IMAGE_MAX_PIXELS : (int)height;
    fit->width = width < 1 ? 1 : width > STP_IMAGE_MAX_PIXELS ? STP_IMAGE_MAX_PIXELS : (int)width;
}

static void resize_as_asked(struct stp_fit *fit, const struct stp_fit_rules *rules)
{
    int least = fit->photo_height < fit->photo_width ? fit->photo_height : fit->photo_width;
    int most = fit->photo_height < fit->photo_width ? fit->photo_width : fit->photo_height;
    if (rules->exact_height) {
        fit->height = rules->exact_height;
        fit->width = rules->exact_width;
        return;
    }
    double scale = rules->shorter ? (double)rules->shorter / least : 1;
    if (rules->longer && (!rules->shorter || most * scale > rules->longer))
        scale = (double)rules->longer / most;
    scale_photo(fit, scale);
}

// The model's fixed size; where it fixes one side only, the other follows.
static void resize_to_model(struct stp_fit *fit, int fixed_height, int fixed_width)
{
    if (fixed_height || fixed_width)
        scale_photo(fit,
                    fixed_height ? (double)fixed_height / fit->photo_height : (double)fixed_width / fit->photo_width);
    fit->height = fixed_height ? fixed_height : fit->height;
    fit->width = fixed_width ? fixed_width : fit->width;
}

bool stp_fit_size(struct stp_fit *out, const struct stp_fit_rules *rules, const struct stp_image *photo,
                  int fixed_height, int fixed_width, const char *name, struct stp_error *error)
{
    *out = (struct stp_fit){
        .photo_height = photo->height, .photo_width = photo->width, .height = photo->height, .width = photo->width};
    if (rules->resize)
        resize_as_asked(out, rules);
    else
        resize_to_model(out, fixed_height, fixed_width);
    int64_t multiple = rules->multiple ? rules->multiple : 1;
    int64_t height = (out->height + multiple - 1) / multiple * multiple;
    int64_t width = (out->width + multiple - 1) / multiple * multiple;
    if (height > STP_IMAGE_MAX_PIXELS || width > STP_IMAGE_MAX_PIXELS || height * width > STP_IMAGE_MAX_PIXELS)
        return stp_error_set(error, "%s would become an input of %lld×%lld pixels, more than %d", name,
                             (long long)width, (long long)height, STP_IMAGE_MAX_PIXELS);
    out->padded_height = (int)height;
    out->padded_width = (int)width;
    return true;
}

// Pixels -------------------------------------------------------------------------------------------------------------

bool stp_fit_photo(stp_tensor *out, const struct stp_fit_rules *rules, const struct stp_fit *fit,
                   const struct stp_image *photo, struct stp_error *error)
{
    size_t stride = (size_t)fit->padded_width, plane = stride * (size_t)fit->padded_height;
    float *input = calloc(3 * plane, sizeof *input); // the padding is 0
    if (!input)
        return stp_error_set(error, "out of memory: %zu bytes for the input", 3 * plane * sizeof *input);
    if (!stp_resize(input, fit->width, fit->height, stride, plane, photo, error)) {
        free(input);
        return false;
    }
    if (rules->bgr)
        for (size_t i = 0; i < plane; i++) {
            float red = input[i];
            input[i] = input[2 * plane + i];
            input[2 * plane + i] = red;
        }
    for (size_t c = 0; c < 3; c++)
        for (size_t y = 0; y < (size_t)fit->height; y++)
            for (size_t x = 0; x < (size_t)fit->width; x++) {
                float *value = input + c * plane + y * stride + x;
                *value = (*value - rules->mean[c]) / rules->std[c];
            }
    *out =
        (stp_tensor){.dtype = STP_F32, .rank = 4, .dims = {1, 3, fit->padded_height, fit->padded_width}, .data = input};
    return true;
}
