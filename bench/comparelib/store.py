# SPDX-License-Identifier: BSD-3-Clause
"""Results in a file: written after every pair, so that nothing measured is lost."""
import dataclasses
import json
import os

from .cells import Cell
from .summary import summarise

FORMAT = 1


class Store:
    """{machine, setting, cells: [{cell, pairs}]}."""

    def __init__(self, path, data):
        self.path = path
        self.data = data

    @classmethod
    def new(cls, path, machine, setting):
        """An empty one."""
        return cls(path, {"format": FORMAT, "machine": machine, "setting": setting, "cells": []})

    @classmethod
    def load(cls, path):
        """One that was saved. Raises ValueError."""
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        if data.get("format") != FORMAT:
            raise ValueError(f"{path} is no result of this version of bench/compare")
        return cls(path, data)

    def entry(self, cell):
        """A cell's record, made if need be."""
        wanted = dataclasses.asdict(cell)
        for entry in self.data["cells"]:
            if entry["cell"] == wanted:
                return entry
        self.data["cells"].append({"cell": wanted, "pairs": []})
        return self.data["cells"][-1]

    def pairs(self, cell):
        """What was measured of it."""
        return self.entry(cell)["pairs"]

    def cells(self):
        """Those that have a record, in the order of measuring."""
        return [Cell(**entry["cell"]) for entry in self.data["cells"]]

    def rows(self):
        """Of the table."""
        return [summarise(cell, self.pairs(cell)) for cell in self.cells()]

    def save(self):
        """In one step."""
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.data, file)
        os.replace(self.path + ".new", self.path)
