# SPDX-License-Identifier: BSD-3-Clause
"""bench/migration/run in parts: what holds for all of it (setting), who is compared (sides), a
guest's life while it is measured (life), and what becomes of the figures (report)."""
