# SPDX-License-Identifier: BSD-3-Clause
"""What the end-to-end tests are made of.

A test is a function in a file of cases/ whose name begins with `test_` and whose first line of
documentation is its promise. It is called with a Context, for each way that its file names in WAYS
and each number of virtual CPUs in CPUS (only one where it is marked with `once`). With
NEEDS = "backports" the runner's get the QEMU of the distribution's backports.
"""
from .backports import backports_qemu
from .context import Context, Failed
from .registry import Case, find_cases, once

__all__ = ["Case", "Context", "Failed", "backports_qemu", "find_cases", "once"]
