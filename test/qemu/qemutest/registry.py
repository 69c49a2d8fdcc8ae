# SPDX-License-Identifier: BSD-3-Clause
"""Finds the tests."""
import dataclasses
import importlib.util
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "cases"
WAYS = ("runner", "backend")
CPUS = (1, 2)


def once(function):
    """A test for which the number of virtual CPUs makes no difference."""
    function.cpus = (1,)
    return function


@dataclasses.dataclass(frozen=True)
class Case:
    """A function to be called one way. `needs`: "backports" if QEMU has to be from there."""
    function: object
    file: str
    way: str
    cpus: int
    needs: str = ""

    @property
    def name(self):
        """FILE.FUNCTION/WAY/CPUS"""
        return f"{self.file}.{self.function.__name__.removeprefix('test_')}/{self.way}/{self.cpus}"

    @property
    def promise(self):
        """One line."""
        return self.function.__doc__.strip().splitlines()[0]


def load(path):
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(f"cases_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases_of(path):
    """In the order of the file, all functions of one way and number of CPUs together."""
    module = load(path)
    functions = [value for name, value in vars(module).items() if name.startswith("test_")]
    needs = getattr(module, "NEEDS", "")
    return [Case(function, path.stem, way, cpus, needs if way == "runner" else "")
            for way in getattr(module, "WAYS", WAYS)
            for cpus in getattr(module, "CPUS", CPUS) for function in functions
            if cpus in getattr(function, "cpus", (cpus,))]


def find_cases():
    """All there are."""
    return [case for path in sorted(FOLDER.glob("*.py")) for case in cases_of(path)]
