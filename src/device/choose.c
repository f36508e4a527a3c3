// SPDX-License-Identifier: Apache-2.0
// Which device a selector means, from what the devices say of themselves.
#include <ctype.h>
#include <stdlib.h>

#include "device/device.h"

static bool contains(const char *text, const char *part, size_t length)
{
    for (size_t start = 0;; start++) {
        size_t i = 0;
        while (i < length && text[start + i] &&
               tolower((unsigned char)text[start + i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length)
            return true;
        if (!text[start])
            return false;
    }
}

static bool has(const char *text, const char *part)
{
    return contains(text, part, strlen(part));
}

static bool is_type(const stp_device_info *info, const char *word)
{
    return strlen(word) == strlen(info->type) && has(info->type, word);
}

// The default's order ------------------------------------------------------------------------------------------------

// Float lanes of a compute unit: what vendors count as a unit differs by more than their clocks do.
static double lanes(const stp_device_info *info)
{
    if (has(info->vendor, "nvidia"))
        return 128;
    if (has(info->vendor, "amd") || has(info->vendor, "advanced micro devices"))
        return 64;
    if (has(info->vendor, "intel"))
        return 8;
    return 32;
}

static int type_rank(const stp_device_info *info)
{
    static const char *const worst_to_best[] = {"custom", "accelerator", "cpu", "gpu"};
    int rank = 0;
    for (int i = 0; i < (int)STP_LENGTH(worst_to_best); i++)
        if (is_type(info, worst_to_best[i]))
            rank = i;
    return rank;
}

// PoCL before other CPU runtimes, those that emulate a GPU or look for errors last.
static int cpu_rank(const stp_device_info *info)
{
    if (has(info->platform_version, "pocl"))
        return 2;
    return has(info->name, "llvmpipe") || has(info->platform, "oclgrind") ? 0 : 1;
}

static double speed(const stp_device_info *info)
{
    return lanes(info) * info->compute_units * (info->clock_mhz ? info->clock_mhz : 1000); // some Mesa drivers say 0
}

static bool is_better(const stp_device_info *a, const stp_device_info *b)
{
    if (!a->unusable != !b->unusable)
        return !a->unusable;
    if (type_rank(a) != type_rank(b))
        return type_rank(a) > type_rank(b);
    if (is_type(a, "cpu") && cpu_rank(a) != cpu_rank(b))
        return cpu_rank(a) > cpu_rank(b);
    return speed(a) > speed(b);
}

// Matching -----------------------------------------------------------------------------------------------------------

static bool platform_matches(const stp_device_info *info, const char *part, size_t length)
{
    return contains(info->platform, part, length) || contains(info->platform_version, part, length) ||
           contains(info->platform_vendor, part, length);
}

static bool is_keyword(const char *word)
{
    return (strlen(word) == 3) && (has("gpu", word) || has("cpu", word));
}

static bool device_matches(const stp_device_info *info, const char *part)
{
    return is_keyword(part) ? is_type(info, part) : has(info->name, part);
}

// `platform/device`, at any slash: names may hold slashes themselves.
static bool pair_matches(const stp_device_info *info, const char *selector)
{
    for (const char *slash = strchr(selector, '/'); slash; slash = strchr(slash + 1, '/'))
        if (platform_matches(info, selector, (size_t)(slash - selector)) && device_matches(info, slash + 1))
            return true;
    return false;
}

static bool matches(const stp_device_info *info, const char *selector)
{
    if (is_keyword(selector))
        return is_type(info, selector);
    return platform_matches(info, selector, strlen(selector)) || has(info->name, selector) ||
           pair_matches(info, selector);
}

int stp_device_choose(const stp_device_info *infos, size_t count, const char *selector)
{
    bool any = !selector || !*selector;
    // A number is never a part of a name: index 5 of a machine with four devices shall not find "RTX 3050".
    if (!any && selector[strspn(selector, "0123456789")] == 0) {
        unsigned long index = strtoul(selector, NULL, 10);
        return index < count ? (int)index : STP_CHOOSE_NONE;
    }
    int best = STP_CHOOSE_NONE;
    for (size_t i = 0; i < count; i++) {
        if (!any && !matches(&infos[i], selector))
            continue;
        if (best == STP_CHOOSE_NONE || is_better(&infos[i], &infos[best]))
            best = (int)i;
    }
    if (any && best != STP_CHOOSE_NONE && infos[best].unusable)
        return STP_CHOOSE_NONE;
    return best;
}
