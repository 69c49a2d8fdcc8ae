#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The functions that uffdmm.h, and the headers it includes, declare.

As a program: `functions.py HEADER` prints a line FUNCTION(name) for each.
"""
import re
import sys
from pathlib import Path

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DECLARATION = re.compile(r"\bUFFDMM_API\s[^;{}()]*?\b(\w+)\s*\(")


PART = re.compile(r'^#include "(\w+\.h)"', re.MULTILINE)


def functions(header, seen=frozenset()):
    """Of a header and its parts, which lie beside it."""
    code = COMMENT.sub("", Path(header).read_text(encoding="utf-8"))
    seen |= {Path(header).name}
    parts = [name for part in PART.findall(code) if part not in seen
             for name in functions(Path(header).with_name(part), seen)]
    code = re.sub(r"^\s*#.*$", "", code, flags=re.MULTILINE)
    return DECLARATION.findall(code) + parts


if __name__ == "__main__":
    for name in functions(sys.argv[1]):
        print(f"FUNCTION({name})")
