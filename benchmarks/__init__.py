"""How fast the reference stack is, as ratios against public yardsticks: ``make bench``.

ours, hand, pytorch, hips    the same workloads on four stacks; nothing else may differ
server                       one stack in a process of its own, timed on request
measure                      alternating runs, medians, ratios
report                       the table on the screen and the README
"""
