// SPDX-License-Identifier: Apache-2.0
#include "device/quirks.h"

#include "base/base.h"

// What a device says of itself, NULL and 0: anything; what follows, why, and where it can be read.
static const struct row {
    const char *platform, *vendor, *type;
    uint32_t compute_units;
    unsigned quirks;
    const char *text; // why, and where that can be read
} table[] = {
    {.platform = "rusticl",
     .type = "cpu",
     .quirks = STP_QUIRK_LANES,
     .text = "llvmpipe is a CPU that takes minutes to compile a register tile (https://docs.mesa3d.org/rusticl.html)"},
    {.platform = "rusticl",
     .compute_units = 9999,
     .quirks = STP_QUIRK_UNITS,
     .text = "Mesa's drivers for Adreno and Mali tell 9999 compute units "
             "(https://gitlab.freedesktop.org/mesa/mesa/-/blob/main/src/gallium/drivers/freedreno/freedreno_screen.c)"},
    {.vendor = "NVIDIA Corporation",
     .quirks = STP_QUIRK_APART,
     .text = "of some hundred overlapping sub-buffers a launch takes 0.1 ms, and "
             "releasing them in the order they were made crashes (driver "
             "580.159; https://registry.khronos.org/OpenCL/sdk/1.2/docs/man/xhtml/clCreateSubBuffer.html)"},
    {.platform = "Portable Computing Language",
     .quirks = STP_QUIRK_SLOW_BINARIES,
     .text = "before it hands a binary out, every kernel is compiled once more, which "
             "takes twice the time of the build itself (https://github.com/pocl/pocl/blob/main/lib/CL/clGetProgramInfo.c)"},
};

static bool holds_for(const struct row *row, const stp_device_info *info)
{
    return (!row->platform || !strcmp(row->platform, info->platform)) && (!row->vendor || !strcmp(row->vendor, info->vendor)) &&
           (!row->type || !strcmp(row->type, info->type)) && (!row->compute_units || row->compute_units == info->compute_units);
}

unsigned stp_device_quirks(const stp_device_info *info)
{
    unsigned quirks = 0;
    for (size_t i = 0; i < STP_LENGTH(table); i++)
        if (holds_for(&table[i], info))
            quirks |= table[i].quirks;
    return quirks;
}

const char *stp_device_quirk_text(const stp_device_info *info, size_t index)
{
    for (size_t i = 0; i < STP_LENGTH(table); i++)
        if (holds_for(&table[i], info) && !index--)
            return table[i].text;
    return NULL;
}

enum stp_maker stp_device_maker(const stp_device_info *info)
{
    // Intel's runtime for CPUs gives Intel as the vendor of AMD's, too.
    const bool named = !strcmp(info->type, "cpu") && strstr(info->name, "AMD");
    if (named || strstr(info->vendor, "AMD") || strstr(info->vendor, "Advanced Micro Devices"))
        return STP_MAKER_AMD;
    return strstr(info->vendor, "Intel") ? STP_MAKER_INTEL : strstr(info->vendor, "NVIDIA") ? STP_MAKER_NVIDIA : STP_MAKER_OTHER;
}
