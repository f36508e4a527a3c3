// SPDX-License-Identifier: Apache-2.0
// stipple: the command. Finds the verb and leaves the rest to it.
#include "tool.h"

#include <getopt.h>
#include <string.h>

static const char usage[] =
    "usage: stipple [-v] [-q] VERB ...\n"
    "\n"
    "Runs convolutional networks (ONNX) whose features are computed at sampled places only, on any OpenCL device.\n"
    "\n"
    "  devices             list the OpenCL devices\n"
    "  info MODEL          show what is in a model\n"
    "  run MODEL PHOTO...  run a model on photos or tensors\n"
    "  bench MODEL PHOTO...\n"
    "                      measure how long a model takes, sparse and dense\n"
    "  profile MODEL PHOTO\n"
    "                      draw when each kernel ran, and what bounded it\n"
    "  tune MODEL          find out how the device computes it fastest, and keep that\n"
    "  selftest            check that a device computes what it should\n"
    "  cache               show or empty what is kept between runs\n"
    "\n"
    "  -V, --version       print the versions of library, file format and OpenCL\n" STP_COMMON_HELP "\n"
    "stipple VERB --help tells more. Environment: STIPPLE_DEVICE (a device, where --device is missing), STIPPLE_LOG\n"
    "(none, error, warn, info or debug: what is told on stderr), STIPPLE_CACHE and STIPPLE_CACHE_DIR (see stipple\n"
    "cache --help).\n";

static const struct {
    const char *name;
    int (*call)(struct stp_tool *tool, int argc, char **argv);
} verbs[] = {
    {"devices", stp_verb_devices},
    {"info", stp_verb_info},
    {"run", stp_verb_run},
    {"bench", stp_verb_bench},
    {"profile", stp_verb_profile},
    {"tune", stp_verb_tune},
    {"selftest", stp_verb_selftest},
    {"cache", stp_verb_cache},
};

static int print_version(struct stp_tool *tool)
{
    printf("stipple %s\n", stp_version());
    printf("file format: ONNX, opset 6 and up; domain stipple, version 1\n");
    printf("OpenCL: 1.2 and up\n");
    return stp_tool_printed(tool);
}

// Edits (insert, delete, replace) that turn `a` into the verb `b`; words longer than any verb are cut.
static size_t distance(const char *a, const char *b)
{
    size_t row[16], length = strlen(b);
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; i <= 16 && a[i - 1]; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t replaced = corner + (a[i - 1] != b[j - 1]);
            size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[length];
}

static int wrong_verb(struct stp_tool *tool, const char *sentence)
{
    stp_tool_say(tool, STP_LOG_ERROR, "%s", sentence);
    if (tool->level >= STP_LOG_ERROR)
        fputs(usage, stderr);
    return STP_EXIT_USAGE;
}

static int unknown_verb(struct stp_tool *tool, const char *word)
{
    const char *nearest = NULL;
    size_t least = 3;
    for (size_t i = 0; i < STP_COUNT(verbs); i++)
        if (distance(word, verbs[i].name) < least) {
            least = distance(word, verbs[i].name);
            nearest = verbs[i].name;
        }
    char sentence[256];
    snprintf(sentence, sizeof sentence, "there is no verb '%.100s'%s%s%s", word, nearest ? "; did you mean '" : "",
             nearest ? nearest : "", nearest ? "'?" : "");
    return wrong_verb(tool, sentence);
}

static int call_verb(struct stp_tool *tool, int argc, char **argv)
{
    if (!argc)
        return wrong_verb(tool, "a verb is missing");
    for (size_t i = 0; i < STP_COUNT(verbs); i++)
        if (!strcmp(argv[0], verbs[i].name))
            return verbs[i].call(tool, argc, argv);
    return unknown_verb(tool, argv[0]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"version", no_argument, NULL, 'V'}, STP_COMMON_LONG, {0}};
    struct stp_tool tool;
    if (!stp_tool_init(&tool))
        return stp_tool_usage(&tool, NULL, "%s", tool.error.text);
    opterr = 0;
    int option, status = -1;
    // '+': what follows the verb is the verb's.
    while (status < 0 && (option = getopt_long(argc, argv, "+:V" STP_COMMON_SHORT, options, NULL)) != -1)
        status = option == 'V' ? print_version(&tool) : stp_tool_option(&tool, option, argv, NULL, usage);
    if (status < 0) {
        int first = optind;
        optind = 0; // glibc: start again, with another option string
        status = call_verb(&tool, argc - first, argv + first);
    }
    stp_tool_end(&tool);
    return status;
}
