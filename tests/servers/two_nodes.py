"""A Ray cluster of two nodes on this machine: says address and raylet of the second, which dies at a line."""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
node = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print("cluster", cluster.address, node.all_processes["raylet"][0].process.pid, flush=True)  # noqa: T201
if sys.stdin.readline():
    cluster.remove_node(node, allow_graceful=False)
    sys.stdin.readline()
cluster.shutdown()
