"""Reads what a server counts with Prometheus' own parsers: `metrics.py prometheus|openmetrics`, the text on standard input.

Prints each family with its type and how many samples it has. A text that the parser refuses ends it with 1.
"""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

PARSERS = {"prometheus": prometheus, "openmetrics": openmetrics}

for family in PARSERS[sys.argv[1]](sys.stdin.read()):
    print(family.name, family.type, len(family.samples))
