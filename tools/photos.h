// SPDX-License-Identifier: Apache-2.0
// The photos of one invocation: files, and the photos of folders.
#ifndef STP_PHOTOS_H
#define STP_PHOTOS_H

#include "tool.h"

struct stp_photo {
    char *path;
    char *stem; // the file's name without folder and extension: the name of its folder of results
};

struct stp_photos {
    struct stp_photo *items;
    size_t count, capacity;
};

// `paths` as given; a folder stands for the PNG and JPEG files right inside it, by name. Freed by stp_photos_free(), after
// a failure too.
bool stp_photos_find(struct stp_photos *out, char *const *paths, size_t count, struct stp_error *error);
// The stems name folders of results: two that are the same are an error.
bool stp_photos_check_stems(const struct stp_photos *photos, struct stp_error *error);
void stp_photos_free(struct stp_photos *photos);

#endif
