#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The library's symbol list is what its public headers declare.

symbols.py write LIST HEADER...      writes it as a version script for the linker
symbols.py check LIBRARY HEADER...   compares it with what a linked library exports (needs nm)"""
import pathlib
import re
import subprocess
import sys


def declared(headers):
    text = '\n'.join(pathlib.Path(header).read_text() for header in headers)
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    text = re.sub(r'//.*|^#.*', '', text, flags=re.M)
    return set(re.findall(r'\bSTP_API\b[^;(]*?(\w+)\s*\(', text))


def exported(library):
    command = ['nm', '--dynamic', '--defined-only', '--format=posix', library]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    # Absolute symbols (A) are names of versions.
    return {line.split()[0].split('@')[0] for line in lines if line.split()[1] != 'A'}


def write(path, names):
    lines = ['STIPPLE_0 {', 'global:'] + [f'    {name};' for name in sorted(names)] + ['local:', '    *;', '};', '']
    pathlib.Path(path).write_text('\n'.join(lines))


def check(library, names):
    found = exported(library)
    for name in sorted(names - found):
        print(f'{name} is declared in the headers, but not exported')
    for name in sorted(found - names):
        print(f'{name} is exported, but not declared in the headers')
    print(f'{len(found)} symbols exported, {len(names)} declared')
    return 0 if found == names and names else 1


def main():
    verb, path, headers = sys.argv[1], sys.argv[2], sys.argv[3:]
    if verb == 'write':
        return write(path, declared(headers))
    return check(path, declared(headers))


if __name__ == '__main__':
    sys.exit(main())
