// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE // dladdr(), RTLD_DEFAULT
#include "device/icd.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

void stp_icd_each(void (*visit)(void *user, const char *path), void *user)
{
    const char *folder = getenv("OCL_ICD_VENDORS");
    if (!folder)
        folder = "/etc/OpenCL/vendors";
    // ocl-icd also takes a file's name here: then there is nothing to scan.
    DIR *entries = opendir(folder);
    if (!entries)
        return;
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        size_t length = strlen(entry->d_name);
        char path[4096];
        if (length > 4 && !strcmp(entry->d_name + length - 4, ".icd") &&
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
            visit(user, path);
    }
    closedir(entries);
}

// The first line of the file: the driver's library.
static bool read_library(const char *path, char *library, int size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(library, size, file) != NULL;
    fclose(file);
    if (got)
        library[strcspn(library, "\r\n")] = 0;
    return got && library[0];
}

static void warn_if_broken(void *user, const char *path)
{
    stp_context *context = user;
    char library[4096];
    if (!read_library(path, library, sizeof library)) {
        stp_log(context, STP_LOG_WARN, "the OpenCL driver of %s is skipped: the file names no library", path);
        return;
    }
    // The loader keeps what it loaded, so that only a broken library is really opened here.
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle)
        handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
    if (!handle) {
        const char *reason = dlerror();
        stp_log(context, STP_LOG_WARN, "the OpenCL driver of %s is skipped: %s", path, reason ? reason : library);
        return;
    }
    if (!dlsym(handle, "clGetExtensionFunctionAddress"))
        stp_log(context, STP_LOG_WARN, "the OpenCL driver of %s is skipped: %s is not an OpenCL driver", path, library);
    dlclose(handle);
}

void stp_icd_warn_broken(stp_context *context)
{
    // Oclgrind and the like stand in for the loader and read no .icd file.
    Dl_info loader;
    void *entry = dlsym(RTLD_DEFAULT, "clGetPlatformIDs");
    if (entry && dladdr(entry, &loader) && loader.dli_fname && strstr(loader.dli_fname, "libOpenCL"))
        stp_icd_each(warn_if_broken, context);
}
