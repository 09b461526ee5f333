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


def test_where_a_node_has_too_little_memory_messages_serve_or_a_sentence_names_it():
    """A container's /dev/shm has 64 MB: whoever writes beyond that is killed without a word."""
    output = run_ranks(2, [str(PROGRAM.with_name("little_room_ranks.py"))])
    ranks = json.loads(output.split("FACTS", 1)[1].splitlines()[0])
    room = "/dev/shm has 0.8 MiB free"
    for name, by in (
        ("data_parallel", "gradients are reduced"),
        ("sharded", "weights are broadca"),
    ):
        first, second = (rank[name] for rank in ranks)
        assert (first["error"], first["final"]) == ("", 3)
        (line,) = first["told"]
        assert room in line
        assert by in line
        assert second["told"] == []
    for name in ("data_parallel, insisting", "sharded, insisting", "pipeline"):
        for rank in ranks:
            assert room in rank[name]["error"]
            assert rank[name]["final"] == 0
