// SPDX-License-Identifier: Apache-2.0
// How a photo becomes a network's input: what the model's metadata asks, and which sizes follow for a photo.
#ifndef STP_FIT_H
#define STP_FIT_H

#include "image.h"

struct stp_fit_rules {
    bool bgr;
    float mean[3], std[3];         // per channel of the input, on values scaled to 0…1
    int shorter, longer;           // pixels; 0: not asked
    int multiple;                  // pad both sides to multiples of this; 0: not asked
    int exact_height, exact_width; // 0: not asked
    bool resize;                   // stipple.image.resize is there: the model's fixed size does not count
};

// Each text is the value of the metadata key stipple.image.…, or NULL if the model has none. The error names the key.
bool stp_fit_rules_parse(struct stp_fit_rules *out, const char *order, const char *mean, const char *std,
                         const char *resize, struct stp_error *error);

struct stp_fit {
    int photo_height, photo_width;
    int height, width;               // of the resized photo: the top left part of the input
    int padded_height, padded_width; // of the input
};

// `fixed_height` and `fixed_width` are the model's, 0 where they are free.
bool stp_fit_size(struct stp_fit *out, const struct stp_fit_rules *rules, const struct stp_image *photo,
                  int fixed_height, int fixed_width, const char *name, struct stp_error *error);

// The input as 1×3×H×W float32, resized, normalised and padded. out->data is freed by the caller.
bool stp_fit_photo(stp_tensor *out, const struct stp_fit_rules *rules, const struct stp_fit *fit,
                   const struct stp_image *photo, struct stp_error *error);

// The row (column) of a map of `cells` rows over the input that shows row `i` of the photo.
static inline int stp_fit_cell(int i, int photo, int resized, int padded, int cells)
{
    double place = (i + 0.5) * resized / photo / padded * cells;
    return place < cells ? (int)place : cells - 1;
}

#endif
