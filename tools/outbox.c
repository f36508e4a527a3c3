// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Names --------------------------------------------------------------------------------------------------------------

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

char *stp_file_name(const char *name, const char *suffix)
{
    char *out = malloc(strlen(name) + strlen(suffix) + 1), *at = out;
    if (!out)
        return NULL;
    for (; *name; name++) {
        unsigned char byte = (unsigned char)*name;
        if ((byte & 0xc0) != 0x80) // one '_' for a character of several bytes
            *at++ = is_plain(byte) ? (char)byte : '_';
    }
    strcpy(at, suffix);
    return out;
}

char *stp_path_join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *out = malloc(size);
    if (out)
        snprintf(out, size, "%s%s%s", folder, *folder && folder[strlen(folder) - 1] == '/' ? "" : "/", name);
    return out;
}

// Folders ------------------------------------------------------------------------------------------------------------

bool stp_outbox_check(const char *folder, struct stp_error *error)
{
    if (!*folder)
        return stp_error_set(error, "a folder's name is empty");
    struct stat info;
    char *path = strdup(folder);
    if (!path)
        return stp_error_set(error, "out of memory");
    // The nearest folder that exists must take new files.
    int failed;
    while ((failed = stat(path, &info)) && errno == ENOENT && strcmp(path, ".")) {
        char *slash = strrchr(path, '/');
        if (slash && slash > path)
            *slash = 0;
        else
            strcpy(path, slash ? "/" : ".");
    }
    bool ok = false;
    if (failed)
        stp_error_set(error, "cannot write to folder %s: %s", folder, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        stp_error_set(error, "cannot write to folder %s: %s is not a folder", folder, path);
    else if (access(path, W_OK | X_OK))
        stp_error_set(error, "cannot write to folder %s: %s", folder, strerror(errno));
    else
        ok = true;
    free(path);
    return ok;
}

// Makes room for one more in an array of `size`-byte elements.
static void *grow(void *array, size_t used, size_t *capacity, size_t size)
{
    if (used < *capacity)
        return array;
    size_t more = *capacity ? *capacity * 2 : 8;
    void *grown = realloc(array, more * size);
    if (grown)
        *capacity = more;
    return grown;
}

static bool make_folder(struct stp_outbox *box, const char *path, struct stp_error *error)
{
    if (!mkdir(path, 0777)) {
        char **grown = grow(box->folders, box->n_folders, &box->cap_folders, sizeof *box->folders);
        box->folders = grown ? grown : box->folders;
        char *copy = grown ? strdup(path) : NULL;
        if (!copy) {
            rmdir(path);
            return stp_error_set(error, "out of memory");
        }
        box->folders[box->n_folders++] = copy;
        return true;
    }
    struct stat info;
    int why = errno;
    if (why == EEXIST && !stat(path, &info) && S_ISDIR(info.st_mode))
        return true;
    return stp_error_set(error, "cannot create folder %s: %s", path, strerror(why));
}

static bool make_folders(struct stp_outbox *box, const char *folder, struct stp_error *error)
{
    char *path = strdup(folder);
    if (!path)
        return stp_error_set(error, "out of memory");
    bool ok = true;
    for (char *at = path + 1; ok && *path && (at = strchr(at, '/')); at++) {
        *at = 0;
        ok = make_folder(box, path, error);
        *at = '/';
    }
    ok = ok && make_folder(box, path, error);
    free(path);
    return ok;
}

// Files --------------------------------------------------------------------------------------------------------------

// A fresh file in `folder`, with the permissions that a plain fopen() would give.
static FILE *open_temporary(struct stp_outbox_file *file, const char *folder)
{
    file->temporary = stp_path_join(folder, ".stipple-XXXXXX");
    if (!file->temporary)
        return NULL;
    int fd = mkstemp(file->temporary);
    if (fd < 0) {
        free(file->temporary);
        file->temporary = NULL;
        return NULL;
    }
    mode_t mask = umask(0);
    umask(mask);
    FILE *stream = fchmod(fd, 0666 & ~mask) ? NULL : fdopen(fd, "wb");
    if (!stream)
        close(fd);
    return stream;
}

FILE *stp_outbox_open(struct stp_outbox *box, const char *folder, const char *name, struct stp_error *error)
{
    if (!make_folders(box, folder, error))
        return NULL;
    struct stp_outbox_file *grown = grow(box->files, box->n_files, &box->cap_files, sizeof *box->files);
    box->files = grown ? grown : box->files;
    char *path = grown ? stp_path_join(folder, name) : NULL;
    if (!path) {
        stp_error_set(error, "out of memory");
        return NULL;
    }
    struct stat info;
    struct stp_outbox_file *file = box->files + box->n_files++;
    *file = (struct stp_outbox_file){.path = path};
    for (size_t i = 0; i + 1 < box->n_files; i++)
        if (!strcmp(box->files[i].path, path)) {
            stp_error_set(error, "two results would both be written to %s", path);
            return NULL;
        }
    if (!stat(path, &info) && !S_ISREG(info.st_mode)) {
        stp_error_set(error, "cannot write %s: it exists and is not a regular file", path);
        return NULL;
    }
    box->open = open_temporary(file, folder);
    if (!box->open)
        stp_error_set(error, "cannot write %s: %s", path, strerror(errno));
    return box->open;
}

bool stp_outbox_close(struct stp_outbox *box, struct stp_error *error)
{
    FILE *open = box->open;
    box->open = NULL;
    bool failed = ferror(open);
    return (!fclose(open) && !failed) ||
           stp_error_set(error, "cannot write %s: %s", box->files[box->n_files - 1].path, strerror(errno));
}

static void empty(struct stp_outbox *box)
{
    for (size_t i = 0; i < box->n_files; i++) {
        free(box->files[i].path);
        free(box->files[i].temporary);
    }
    for (size_t i = 0; i < box->n_folders; i++)
        free(box->folders[i]);
    free(box->files);
    free(box->folders);
    *box = (struct stp_outbox){0};
}

bool stp_outbox_commit(struct stp_outbox *box, struct stp_error *error)
{
    for (size_t i = 0; i < box->n_files; i++) {
        struct stp_outbox_file *file = box->files + i;
        if (rename(file->temporary, file->path))
            return stp_error_set(error, "cannot write %s: %s", file->path, strerror(errno));
        free(file->temporary);
        file->temporary = NULL;
    }
    empty(box);
    return true;
}

void stp_outbox_discard(struct stp_outbox *box)
{
    if (box->open)
        fclose(box->open);
    for (size_t i = 0; i < box->n_files; i++)
        if (box->files[i].temporary)
            unlink(box->files[i].temporary);
    for (size_t i = box->n_folders; i > 0; i--)
        rmdir(box->folders[i - 1]); // stays where somebody else put something into it
    empty(box);
}
