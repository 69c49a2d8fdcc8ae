#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares what libuffdmm.so exports with what its headers declare.

exports.py NM LIBRARY uffdmm.h INCLUDE-DIRECTORY

Under UFFDMM_0.1 there are the functions of uffdmm.h and nothing else; under UFFDMM_CXX_0.1 only
what include/uffdmm marks with UFFDMM_CXX_API, and all functions it marks; nothing is exported
without a version.
"""
import re
import subprocess
import sys
from pathlib import Path

from functions import functions

C_NODE, CXX_NODE = "UFFDMM_0.1", "UFFDMM_CXX_0.1"
MARKED = re.compile(r"UFFDMM_CXX_API\s+([^;{]*)[;{]")
# One per kind of entity that a class has of its own: its name is what follows.
OF_A_CLASS = re.compile(r"^(?:typeinfo for |typeinfo name for |vtable for )?uffdmm::(\w+)")


def exported(nm, library, *options):
    """{node: set of names}; "" for symbols without a version."""
    listing = subprocess.run([nm, "-D", "--defined-only", "--with-symbol-versions", *options,
                              library], capture_output=True, text=True, check=True).stdout
    nodes = {}
    for line in listing.splitlines():
        kind, symbol = re.match(r"\S*\s+(\w) (.*)$", line).groups()
        name, _, node = symbol.partition("@")
        if kind != "A":  # the nodes themselves
            nodes.setdefault(node.lstrip("@"), set()).add(name)
    return nodes


def marked(include):
    """Names of the classes and functions that the C++ headers export."""
    classes, names = set(), set()
    for header in Path(include, "uffdmm").rglob("*.hpp"):
        if header.name == "export.hpp":
            continue
        for declaration in MARKED.findall(header.read_text(encoding="utf-8")):
            if function := re.search(r"(~?\w+)\(", declaration):
                names.add(function[1])
            else:
                classes.add(re.match(r"\w+", declaration)[0])
    return classes, names


def main():
    nm, library, header, include = sys.argv[1:]
    problems = []
    nodes = exported(nm, library)
    declared = set(functions(header))
    for name in sorted(declared - nodes.get(C_NODE, set())):
        problems.append(f"{name} is declared but not exported under {C_NODE}")
    for name in sorted(nodes.get(C_NODE, set()) - declared):
        problems.append(f"{name} is exported under {C_NODE} but not declared")
    for node in sorted(set(nodes) - {C_NODE, CXX_NODE}):
        problems.append(f"exported under {node or 'no version'}: {sorted(nodes[node])}")

    classes, names = marked(include)
    found = set()
    for symbol in sorted(exported(nm, library, "--demangle").get(CXX_NODE, ())):
        match = OF_A_CLASS.match(symbol)
        member = re.match(r"uffdmm::(?:manager::)?(~?\w+)[\[(]", symbol)
        if member:
            found.add(member[1])
        if not (match and (match[1] in classes or member and member[1] in names)):
            problems.append(f"{symbol} is exported but its class or function is not marked")
    for name in sorted(names - found):
        problems.append(f"{name}() is marked UFFDMM_CXX_API but not exported")

    for problem in problems:
        print(problem)
    print(f"{len(declared)} functions in C, {len(nodes.get(CXX_NODE, ()))} symbols in C++, "
          f"{len(problems)} problems")
    return 1 if problems or not declared or not found else 0


if __name__ == "__main__":
    sys.exit(main())
