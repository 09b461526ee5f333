import json
from pathlib import Path

import pytest

from tests.mpi import run_ranks

PROGRAM = Path(__file__).with_name("shared_memory_ranks.py")


def ranks_of(nodes):
    output = run_ranks(len(nodes), [str(PROGRAM), nodes])
    return json.loads(output.split("FACTS", 1)[1].splitlines()[0])


@pytest.mark.parametrize("nodes", ["aa", "aaa", "aabb"])
def test_shared_memory_and_messages_give_every_rank_the_same(nodes):
    for facts in ranks_of(nodes):
        assert "error" not in facts
        assert facts["sums"] == [1, 1]  # by messages, through shared memory: one sum for all ranks
        assert len(facts["seen"]) >= 40
        assert all(facts["seen"])


def test_nodes_with_different_numbers_of_ranks_are_refused():
    for facts in ranks_of("aab"):
        assert "equally many ranks on every node, not 1 and 2" in facts["error"]
