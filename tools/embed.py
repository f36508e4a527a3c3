#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes OpenCL sources into a C file: embed.py OUTPUT INPUT..."""
import pathlib
import sys


def main():
    output, inputs = sys.argv[1], sys.argv[2:]
    lines = ['#include "device/kernels.h"', '']
    names = []
    for path in map(pathlib.Path, inputs):
        names.append(path.stem)
        lines.append(f'static const unsigned char {path.stem}_text[] = {{')
        data = path.read_bytes() + b'\0'
        for start in range(0, len(data), 24):
            lines.append(','.join(str(byte) for byte in data[start:start + 24]) + ',')
        lines.append('};')
    lines.append('')
    lines.append('const struct stp_kernel_source stp_kernel_sources[] = {')
    lines += [f'    {{"{name}", (const char *){name}_text}},' for name in names]
    lines += ['    {0, 0},', '};', '']
    pathlib.Path(output).write_text('\n'.join(lines))


if __name__ == '__main__':
    main()
