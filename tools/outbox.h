// SPDX-License-Identifier: Apache-2.0
// Files that appear together or not at all: each is written beside its place under another name, and all are renamed at
// the end.
#ifndef STP_OUTBOX_H
#define STP_OUTBOX_H

#include "tool.h"

struct stp_outbox_file {
    char *path, *temporary;
};

struct stp_outbox {
    struct stp_outbox_file *files;
    size_t n_files, cap_files;
    char **folders; // created for this box, outermost first
    size_t n_folders, cap_folders;
    FILE *open; // the last file; NULL once closed
};

// Whether files can be written to `folder`, which need not exist yet, as far as can be told without touching anything.
bool stp_outbox_check(const char *folder, struct stp_error *error);

// Begins FOLDER/NAME; creates the folder and its parents where needed. The stream is the box's; stp_outbox_close() ends
// it. NULL on failure; a file of this box that has the same path is one.
FILE *stp_outbox_open(struct stp_outbox *box, const char *folder, const char *name, struct stp_error *error);
bool stp_outbox_close(struct stp_outbox *box, struct stp_error *error);

// Puts every file in its place, replacing what is there, and empties the box.
bool stp_outbox_commit(struct stp_outbox *box, struct stp_error *error);
// Removes what was written and created, and empties the box. After a commit it does nothing.
void stp_outbox_discard(struct stp_outbox *box);

// NAME + `suffix` with characters other than letters, digits, '.', '_', '-' replaced by '_'; malloc'ed, NULL when
// memory is short.
char *stp_file_name(const char *name, const char *suffix);
// FOLDER/NAME, likewise.
char *stp_path_join(const char *folder, const char *name);

#endif
