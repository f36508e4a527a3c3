// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "photos.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image.h"
#include "outbox.h"

// Takes over `path`.
static bool add_photo(struct stp_photos *photos, char *path, struct stp_error *error)
{
    if (path && photos->count == photos->capacity) {
        size_t capacity = photos->capacity ? photos->capacity * 2 : 16;
        struct stp_photo *grown = realloc(photos->items, capacity * sizeof *grown);
        photos->items = grown ? grown : photos->items;
        photos->capacity = grown ? capacity : photos->capacity;
    }
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *stem = path && photos->count < photos->capacity ? strdup(slash ? slash + 1 : path) : NULL;
    if (!stem) {
        free(path);
        return stp_error_set(error, "out of memory");
    }
    char *dot = strrchr(stem, '.');
    if (dot && dot > stem)
        *dot = 0;
    photos->items[photos->count++] = (struct stp_photo){.path = path, .stem = stem};
    return true;
}

static bool is_photo(const char *path)
{
    struct stat info;
    if (stat(path, &info) || !S_ISREG(info.st_mode))
        return false;
    unsigned char start[8];
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(start, 1, sizeof start, file) : 0;
    if (file)
        fclose(file);
    return stp_image_kind(start, size) != STP_IMAGE_OTHER;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct stp_photo *)a)->path, ((const struct stp_photo *)b)->path);
}

static bool add_folder(struct stp_photos *photos, const char *folder, struct stp_error *error)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return stp_error_set(error, "cannot open folder %s: %s", folder, strerror(errno));
    size_t before = photos->count;
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        char *path = stp_path_join(folder, entry->d_name);
        if (path && (entry->d_name[0] == '.' || !is_photo(path)))
            free(path);
        else
            ok = add_photo(photos, path, error);
    }
    closedir(dir);
    if (ok && photos->count == before)
        return stp_error_set(error, "folder %s holds no PNG or JPEG file", folder);
    if (ok)
        qsort(photos->items + before, photos->count - before, sizeof *photos->items, by_path);
    return ok;
}

bool stp_photos_check_stems(const struct stp_photos *photos, struct stp_error *error)
{
    for (size_t i = 0; i < photos->count; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(photos->items[i].stem, photos->items[j].stem))
                return stp_error_set(error,
                                     "%s and %s would share one folder of results: their names differ in folder "
                                     "and extension only",
                                     photos->items[j].path, photos->items[i].path);
    return true;
}

bool stp_photos_find(struct stp_photos *out, char *const *paths, size_t count, struct stp_error *error)
{
    *out = (struct stp_photos){0};
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        if (stat(paths[i], &info))
            return stp_error_set(error, "cannot open %s: %s", paths[i], strerror(errno));
        bool ok = S_ISDIR(info.st_mode) ? add_folder(out, paths[i], error) : add_photo(out, strdup(paths[i]), error);
        if (!ok)
            return false;
    }
    return true;
}

void stp_photos_free(struct stp_photos *photos)
{
    for (size_t i = 0; i < photos->count; i++) {
        free(photos->items[i].path);
        free(photos->items[i].stem);
    }
    free(photos->items);
    *photos = (struct stp_photos){0};
}
