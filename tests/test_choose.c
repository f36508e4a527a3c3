// SPDX-License-Identifier: Apache-2.0
// Choosing a device, on invented machines.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device/device.h"
#include "device/quirks.h"

#define MESA .platform = "rusticl", .platform_version = "OpenCL 3.0", .platform_vendor = "Mesa/X.org"
#define POCL                                                                                                           \
    .platform = "Portable Computing Language", .platform_version = "OpenCL 3.0 PoCL 3.1+debian Linux",                 \
    .platform_vendor = "The pocl project"
#define INTEL_CPU                                                                                                      \
    .platform = "Intel(R) OpenCL", .platform_version = "OpenCL 3.0 LINUX", .platform_vendor = "Intel(R) Corporation"
#define NEO                                                                                                            \
    .platform = "Intel(R) OpenCL Graphics", .platform_version = "OpenCL 3.0", .platform_vendor = "Intel(R) Corporation"
#define CUDA                                                                                                           \
    .platform = "NVIDIA CUDA", .platform_version = "OpenCL 3.0 CUDA 12.2.148", .platform_vendor = "NVIDIA Corporation"
#define ROCM                                                                                                           \
    .platform = "AMD Accelerated Parallel Processing", .platform_version = "OpenCL 2.1 AMD-APP (3590.0)",              \
    .platform_vendor = "Advanced Micro Devices, Inc."

static const stp_device_info pocl_cpu = {POCL,
                                         .name = "pthread-haswell-AMD EPYC",
                                         .vendor = "AuthenticAMD",
                                         .type = "cpu",
                                         .compute_units = 2,
                                         .clock_mhz = 2445};
static const stp_device_info intel_cpu = {INTEL_CPU,     .name = "AMD EPYC",  .vendor = "Intel(R) Corporation",
                                          .type = "cpu", .compute_units = 16, .clock_mhz = 3000};
static const stp_device_info llvmpipe = {MESA,
                                         .name = "llvmpipe (LLVM 15.0.6, 256 bits)",
                                         .vendor = "Mesa/X.org",
                                         .type = "cpu",
                                         .compute_units = 64,
                                         .clock_mhz = 300};
static const stp_device_info oclgrind = {.platform = "Oclgrind",
                                         .platform_version = "OpenCL 1.2 (Oclgrind 21.10)",
                                         .platform_vendor = "Oclgrind",
                                         .name = "Oclgrind Simulator",
                                         .vendor = "Oclgrind",
                                         .type = "cpu",
                                         .compute_units = 1,
                                         .clock_mhz = 1};
static const stp_device_info uhd = {NEO,
                                    .name = "Intel(R) UHD Graphics 620 [0x5917]",
                                    .vendor = "Intel(R) Corporation",
                                    .type = "gpu",
                                    .compute_units = 24,
                                    .clock_mhz = 1100};
static const stp_device_info arc = {NEO,
                                    .name = "Intel(R) Arc(TM) A770 Graphics",
                                    .vendor = "Intel(R) Corporation",
                                    .type = "gpu",
                                    .compute_units = 512,
                                    .clock_mhz = 2400};
static const stp_device_info rtx_3060 = {CUDA,
                                         .name = "NVIDIA GeForce RTX 3060",
                                         .vendor = "NVIDIA Corporation",
                                         .type = "gpu",
                                         .compute_units = 28,
                                         .clock_mhz = 1777};
static const stp_device_info rtx_4090 = {CUDA,
                                         .name = "NVIDIA GeForce RTX 4090",
                                         .vendor = "NVIDIA Corporation",
                                         .type = "gpu",
                                         .compute_units = 128,
                                         .clock_mhz = 2520};
static const stp_device_info vega_8 = {MESA,
                                       .name = "AMD Radeon Graphics (radeonsi, renoir, LLVM 15.0.6)",
                                       .vendor = "AMD",
                                       .type = "gpu",
                                       .compute_units = 8,
                                       .clock_mhz = 0};
static const stp_device_info rx_580 = {ROCM,
                                       .name = "Radeon RX 580/590 Series",
                                       .vendor = "Advanced Micro Devices, Inc.",
                                       .type = "gpu",
                                       .compute_units = 36,
                                       .clock_mhz = 1340};
static const stp_device_info dead_gpu = {CUDA,
                                         .name = "NVIDIA GeForce RTX 9090",
                                         .vendor = "NVIDIA Corporation",
                                         .type = "gpu",
                                         .compute_units = 999,
                                         .clock_mhz = 9999,
                                         .unusable = "it has no compiler"};
static const stp_device_info fpga = {.platform = "FPGA",
                                     .platform_version = "OpenCL 1.2",
                                     .platform_vendor = "X",
                                     .name = "board",
                                     .vendor = "X",
                                     .type = "accelerator",
                                     .compute_units = 900,
                                     .clock_mhz = 900};

struct machine {
    const char *what;
    const char *selector;
    const stp_device_info *devices[5]; // ends with NULL
    int want;
};

static const struct machine machines[] = {
    {"no device", NULL, {NULL}, -1},
    {"no device, asked for one", "gpu", {NULL}, -1},
    // The default
    {"a GPU before a larger CPU", NULL, {&pocl_cpu, &intel_cpu, &uhd}, 2},
    {"the card before the laptop's own", NULL, {&uhd, &rtx_3060}, 1},
    {"lanes differ by vendor: 28 SMs beat 24 EUs and 8 CUs", "", {&rtx_3060, &uhd, &vega_8}, 0},
    {"the larger of two cards", NULL, {&rtx_3060, &rtx_4090}, 1},
    {"Arc before Vega", NULL, {&vega_8, &arc}, 1},
    {"a clock of 0 is not slow", NULL, {&uhd, &vega_8}, 1},
    {"PoCL before other CPU runtimes, whatever their size", NULL, {&intel_cpu, &llvmpipe, &pocl_cpu}, 2},
    {"emulators last", NULL, {&oclgrind, &llvmpipe, &intel_cpu}, 2},
    {"an emulator if there is nothing else", NULL, {&llvmpipe}, 0},
    {"a CPU before an accelerator", NULL, {&fpga, &pocl_cpu}, 1},
    {"an accelerator before nothing", NULL, {&fpga}, 0},
    {"an unusable GPU is not taken", NULL, {&dead_gpu, &pocl_cpu}, 1},
    {"nothing usable", NULL, {&dead_gpu}, -1},
    {"of equals the first", NULL, {&rtx_3060, &rtx_3060}, 0},
    // Index
    {"index", "0", {&pocl_cpu, &rtx_3060}, 0},
    {"index of the last", "1", {&pocl_cpu, &rtx_3060}, 1},
    {"index of an unusable device: the caller says why", "0", {&dead_gpu, &pocl_cpu}, 0},
    {"index beyond the end", "2", {&pocl_cpu, &rtx_3060}, -1},
    {"a number is an index, never a part of a name", "3060", {&pocl_cpu, &rtx_3060}, -1},
    {"a number too large for any integer", "99999999999999999999999", {&pocl_cpu}, -1},
    {"a sign is no index", "-1", {&pocl_cpu}, -1},
    // Types
    {"gpu", "gpu", {&pocl_cpu, &rtx_3060}, 1},
    {"gpu: the fastest", "GPU", {&uhd, &rtx_3060}, 1},
    {"gpu where there is none", "gpu", {&pocl_cpu}, -1},
    {"cpu", "cpu", {&rtx_3060, &pocl_cpu}, 1},
    {"cpu: PoCL first", "CPU", {&intel_cpu, &pocl_cpu}, 1},
    // Parts of names
    {"platform's version", "pocl", {&rtx_3060, &pocl_cpu}, 1},
    {"platform's name, any case", "PORTABLE", {&rtx_3060, &pocl_cpu}, 1},
    {"platform's vendor", "x.org", {&pocl_cpu, &llvmpipe}, 1},
    {"device's name", "llvmpipe", {&pocl_cpu, &llvmpipe}, 1},
    {"ambiguous: the default's order", "intel", {&intel_cpu, &uhd}, 1},
    {"ambiguous: the device's vendor is not looked at", "authentic", {&pocl_cpu}, -1},
    {"ambiguous: usable before unusable", "geforce", {&dead_gpu, &rtx_3060}, 1},
    {"only an unusable one matches: the caller says why", "rtx 9090", {&pocl_cpu, &dead_gpu}, 1},
    {"nothing matches", "voodoo", {&pocl_cpu, &rtx_3060}, -1},
    {"longer than any name", "pthread-haswell-AMD EPYC and more", {&pocl_cpu}, -1},
    {"a blank is a part like any other", " ", {&pocl_cpu}, 0},
    // platform/device
    {"platform/device", "intel/epyc", {&pocl_cpu, &intel_cpu, &uhd}, 1},
    {"platform/type", "intel/cpu", {&pocl_cpu, &intel_cpu, &uhd}, 1},
    {"platform/type, the other", "intel/gpu", {&pocl_cpu, &intel_cpu, &uhd}, 2},
    {"platform of one, device of another", "cuda/epyc", {&pocl_cpu, &rtx_3060}, -1},
    {"any platform", "/epyc", {&intel_cpu, &pocl_cpu}, 1},
    {"any device", "mesa/", {&pocl_cpu, &vega_8, &llvmpipe}, 1},
    {"a slash in the device's name", "580/590", {&rtx_3060, &rx_580}, 1},
    {"a slash in the device's name behind a platform", "amd/rx 580/590", {&rtx_3060, &rx_580}, 1},
    {"a slash in the platform's vendor", "mesa/x.org/llvmpipe", {&vega_8, &llvmpipe}, 1},
};

static void test_machines(void **state)
{
    (void)state;
    for (size_t i = 0; i < STP_LENGTH(machines); i++) {
        stp_device_info infos[STP_LENGTH(machines[i].devices)];
        size_t count = 0;
        for (; count < STP_LENGTH(infos) && machines[i].devices[count]; count++)
            infos[count] = *machines[i].devices[count];
        int got = stp_device_choose(infos, count, machines[i].selector);
        if (got != machines[i].want)
            fail_msg("%s: got %d, wanted %d", machines[i].what, got, machines[i].want);
    }
}

static void test_quirks(void **state)
{
    (void)state;
    stp_device_info adreno = {MESA, .name = "FD643", .vendor = "Qualcomm", .type = "gpu", .compute_units = 9999};
    assert_int_equal(stp_device_quirks(&adreno), STP_QUIRK_UNITS);
    adreno.compute_units = 8;
    assert_int_equal(stp_device_quirks(&adreno), 0);
    assert_int_equal(stp_device_quirks(&llvmpipe), STP_QUIRK_LANES);
    assert_int_equal(stp_device_quirks(&pocl_cpu), STP_QUIRK_SLOW_BINARIES);
    assert_int_equal(stp_device_quirks(&rtx_3060), STP_QUIRK_APART);
    assert_int_equal(stp_device_quirks(&uhd), 0);
}

static void test_makers(void **state)
{
    (void)state;
    assert_int_equal(stp_device_maker(&pocl_cpu), STP_MAKER_AMD);
    assert_int_equal(stp_device_maker(&intel_cpu), STP_MAKER_AMD); // Intel's runtime on an AMD CPU
    assert_int_equal(stp_device_maker(&vega_8), STP_MAKER_AMD);
    assert_int_equal(stp_device_maker(&rx_580), STP_MAKER_AMD);
    assert_int_equal(stp_device_maker(&uhd), STP_MAKER_INTEL);
    assert_int_equal(stp_device_maker(&rtx_3060), STP_MAKER_NVIDIA);
    assert_int_equal(stp_device_maker(&llvmpipe), STP_MAKER_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_machines), cmocka_unit_test(test_quirks), cmocka_unit_test(test_makers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
