#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The functions that uffdmm.h declares.

As a program: `functions.py HEADER` prints a line FUNCTION(name) for each.
"""
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DECLARATION = re.compile(r"\bUFFDMM_API\s[^;{}()]*?\b(\w+)\s*\(")


def functions(header):
    with open(header, encoding="utf-8") as file:
        code = COMMENT.sub("", file.read())
    code = re.sub(r"^\s*#.*$", "", code, flags=re.MULTILINE)
    return DECLARATION.findall(code)


if __name__ == "__main__":
    for name in functions(sys.argv[1]):
        print(f"FUNCTION({name})")
