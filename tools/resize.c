// SPDX-License-Identifier: Apache-2.0
#include "resize.h"

#include <math.h>
#include <stdlib.h>

// For each output place of one direction: `count` input places from `first` on, with weights whose sum is 1.
struct taps {
    int first, count;
    const float *weights;
};

struct direction {
    struct taps *taps;
    float *weights;
};

static void free_direction(struct direction *direction)
{
    free(direction->taps);
    free(direction->weights);
}

// Input pixel j counts with a triangle of half width `reach` around the output pixel's centre.
static int set_weights(float *weights, int first, int last, double centre, double reach)
{
    double sum = 0;
    for (int j = first; j <= last; j++)
        sum += fmax(0, 1 - fabs(j + 0.5 - centre) / reach);
    for (int j = first; j <= last; j++)
        weights[j - first] = (float)(fmax(0, 1 - fabs(j + 0.5 - centre) / reach) / sum);
    return last - first + 1;
}

static bool make_direction(struct direction *out, int from, int to, struct stp_error *error)
{
    double scale = (double)from / to, reach = scale > 1 ? scale : 1;
    size_t most = 2 * (size_t)ceil(reach) + 1; // taps of one output
    out->taps = malloc((size_t)to * sizeof *out->taps);
    out->weights = malloc((size_t)to * most * sizeof *out->weights);
    if (!out->taps || !out->weights)
        return stp_error_set(error, "out of memory: %zu bytes for resizing", (size_t)to * most * sizeof *out->weights);
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * scale;
        double low = floor(centre - reach + 0.5), high = ceil(centre + reach - 0.5) - 1;
        struct taps *taps = out->taps + i;
        float *weights = out->weights + (size_t)i * most;
        taps->first = low > 0 ? (int)low : 0;
        taps->count = set_weights(weights, taps->first, high < from ? (int)high : from - 1, centre, reach);
        taps->weights = weights;
    }
    return true;
}

// One row of the photo → `width` red, green, blue triples.
static void resize_row(float *out, int width, const uint16_t *row, const struct taps *taps)
{
    for (int x = 0; x < width; x++) {
        const uint16_t *from = row + 3 * (size_t)taps[x].first;
        double red = 0, green = 0, blue = 0;
        for (int k = 0; k < taps[x].count; k++, from += 3) {
            double weight = taps[x].weights[k];
            red += weight * from[0];
            green += weight * from[1];
            blue += weight * from[2];
        }
        out[3 * x] = (float)(red / 65535);
        out[3 * x + 1] = (float)(green / 65535);
        out[3 * x + 2] = (float)(blue / 65535);
    }
}

static void resize_column(float *out, size_t plane, const float *rows, size_t row, const struct taps *taps)
{
    for (size_t c = 0; c < 3; c++) {
        const float *from = rows + (size_t)taps->first * row + c;
        double sum = 0;
        for (int k = 0; k < taps->count; k++, from += row)
            sum += (double)taps->weights[k] * (double)*from;
        out[c * plane] = (float)sum;
    }
}

// Rows first, into an intermediate picture of the photo's height; then columns.
bool stp_resize(float *out, int width, int height, size_t stride, size_t plane, const struct stp_image *photo,
                struct stp_error *error)
{
    struct direction across = {0}, down = {0};
    size_t row = (size_t)width * 3, bytes = row * (size_t)photo->height * sizeof(float);
    float *rows = malloc(bytes);
    bool ok = rows || stp_error_set(error, "out of memory: %zu bytes for resizing", bytes);
    ok = ok && make_direction(&across, photo->width, width, error) &&
         make_direction(&down, photo->height, height, error);
    for (int y = 0; ok && y < photo->height; y++)
        resize_row(rows + (size_t)y * row, width, photo->rgb + (size_t)y * (size_t)photo->width * 3, across.taps);
    for (int y = 0; ok && y < height; y++)
        for (int x = 0; x < width; x++)
            resize_column(out + (size_t)y * stride + x, plane, rows + (size_t)x * 3, row, down.taps + y);
    free(rows);
    free_direction(&across);
    free_direction(&down);
    return ok;
}
